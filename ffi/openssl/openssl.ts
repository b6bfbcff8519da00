/**
 * The functions of OpenSSL 3 that knet calls: certificates (libcrypto), and TLS over memory, not over sockets (libssl).
 *
 * Deno's own TLS cannot do what is needed: `Deno.listenTls` never asks a client for a certificate, and node:tls's server of Deno 2.4,
 * which the program is compiled with, does not either. The host's library comes first, for its security updates.
 *
 * All calls are synchronous: the library's queue of errors belongs to the thread, and nothing comes between a call and its error.
 *
 * @module
 */
import { openLibrary } from "../load.ts";

const CRYPTO = {
  // X509 *d2i_X509(X509 **px, const unsigned char **in, long len)
  d2i_X509: { parameters: ["pointer", "buffer", "i64"], result: "pointer" },
  // int i2d_X509(const X509 *x, unsigned char **out)
  i2d_X509: { parameters: ["pointer", "buffer"], result: "i32" },
  // EVP_PKEY *d2i_AutoPrivateKey(EVP_PKEY **a, const unsigned char **pp, long length)
  d2i_AutoPrivateKey: { parameters: ["pointer", "buffer", "i64"], result: "pointer" },
  // EVP_PKEY *d2i_PUBKEY(EVP_PKEY **a, const unsigned char **pp, long length)
  d2i_PUBKEY: { parameters: ["pointer", "buffer", "i64"], result: "pointer" },
  // void EVP_PKEY_free(EVP_PKEY *key)
  EVP_PKEY_free: { parameters: ["pointer"], result: "void" },
  // const EVP_MD *EVP_sha256(void)
  EVP_sha256: { parameters: [], result: "pointer" },
  // X509 *X509_new(void)
  X509_new: { parameters: [], result: "pointer" },
  // void X509_free(X509 *a)
  X509_free: { parameters: ["pointer"], result: "void" },
  // int X509_set_version(X509 *x, long version)
  X509_set_version: { parameters: ["pointer", "i64"], result: "i32" },
  // ASN1_INTEGER *X509_get_serialNumber(X509 *x)
  X509_get_serialNumber: { parameters: ["pointer"], result: "pointer" },
  // int ASN1_STRING_set(ASN1_STRING *str, const void *data, int len)
  ASN1_STRING_set: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  // int ASN1_STRING_length(const ASN1_STRING *x)
  ASN1_STRING_length: { parameters: ["pointer"], result: "i32" },
  // const unsigned char *ASN1_STRING_get0_data(const ASN1_STRING *x)
  ASN1_STRING_get0_data: { parameters: ["pointer"], result: "pointer" },
  // ASN1_TIME *X509_getm_notBefore(const X509 *x)
  X509_getm_notBefore: { parameters: ["pointer"], result: "pointer" },
  // ASN1_TIME *X509_getm_notAfter(const X509 *x)
  X509_getm_notAfter: { parameters: ["pointer"], result: "pointer" },
  // ASN1_TIME *ASN1_TIME_set(ASN1_TIME *s, time_t t)
  ASN1_TIME_set: { parameters: ["pointer", "i64"], result: "pointer" },
  // int ASN1_TIME_diff(int *pday, int *psec, const ASN1_TIME *from, const ASN1_TIME *to)
  ASN1_TIME_diff: { parameters: ["buffer", "buffer", "pointer", "pointer"], result: "i32" },
  // void ASN1_STRING_free(ASN1_STRING *a)
  ASN1_STRING_free: { parameters: ["pointer"], result: "void" },
  // int X509_set_pubkey(X509 *x, EVP_PKEY *pkey)
  X509_set_pubkey: { parameters: ["pointer", "pointer"], result: "i32" },
  // EVP_PKEY *X509_get0_pubkey(const X509 *x)
  X509_get0_pubkey: { parameters: ["pointer"], result: "pointer" },
  // int i2d_PUBKEY(const EVP_PKEY *a, unsigned char **pp)
  i2d_PUBKEY: { parameters: ["pointer", "buffer"], result: "i32" },
  // X509_NAME *X509_get_subject_name(const X509 *x)
  X509_get_subject_name: { parameters: ["pointer"], result: "pointer" },
  // int X509_set_issuer_name(X509 *x, const X509_NAME *name)
  X509_set_issuer_name: { parameters: ["pointer", "pointer"], result: "i32" },
  // int X509_NAME_add_entry_by_txt(X509_NAME *name, const char *field, int type, const unsigned char *bytes, int len, int loc, int set)
  X509_NAME_add_entry_by_txt: {
    parameters: ["pointer", "buffer", "i32", "buffer", "i32", "i32", "i32"],
    result: "i32",
  },
  // int X509_NAME_get_index_by_NID(const X509_NAME *name, int nid, int lastpos)
  X509_NAME_get_index_by_NID: { parameters: ["pointer", "i32", "i32"], result: "i32" },
  // X509_NAME_ENTRY *X509_NAME_get_entry(const X509_NAME *name, int loc)
  X509_NAME_get_entry: { parameters: ["pointer", "i32"], result: "pointer" },
  // ASN1_STRING *X509_NAME_ENTRY_get_data(const X509_NAME_ENTRY *ne)
  X509_NAME_ENTRY_get_data: { parameters: ["pointer"], result: "pointer" },
  // X509_EXTENSION *X509V3_EXT_conf_nid(LHASH_OF(CONF_VALUE) *conf, X509V3_CTX *ctx, int ext_nid, const char *value)
  X509V3_EXT_conf_nid: { parameters: ["pointer", "pointer", "i32", "buffer"], result: "pointer" },
  // int X509_add_ext(X509 *x, X509_EXTENSION *ex, int loc)
  X509_add_ext: { parameters: ["pointer", "pointer", "i32"], result: "i32" },
  // void X509_EXTENSION_free(X509_EXTENSION *a)
  X509_EXTENSION_free: { parameters: ["pointer"], result: "void" },
  // int X509_sign(X509 *x, EVP_PKEY *pkey, const EVP_MD *md)
  X509_sign: { parameters: ["pointer", "pointer", "pointer"], result: "i32" },
  // int X509_STORE_add_cert(X509_STORE *xs, X509 *x)
  X509_STORE_add_cert: { parameters: ["pointer", "pointer"], result: "i32" },
  // const char *X509_verify_cert_error_string(long n)
  X509_verify_cert_error_string: { parameters: ["i64"], result: "pointer" },
  // int OPENSSL_sk_num(const OPENSSL_STACK *)
  OPENSSL_sk_num: { parameters: ["pointer"], result: "i32" },
  // void *OPENSSL_sk_value(const OPENSSL_STACK *, int)
  OPENSSL_sk_value: { parameters: ["pointer", "i32"], result: "pointer" },
  // unsigned long ERR_get_error(void)
  ERR_get_error: { parameters: [], result: "u64" },
  // void ERR_error_string_n(unsigned long e, char *buf, size_t len)
  ERR_error_string_n: { parameters: ["u64", "buffer", "usize"], result: "void" },
  // void ERR_clear_error(void)
  ERR_clear_error: { parameters: [], result: "void" },
  // BIO *BIO_new(const BIO_METHOD *type)
  BIO_new: { parameters: ["pointer"], result: "pointer" },
  // const BIO_METHOD *BIO_s_mem(void)
  BIO_s_mem: { parameters: [], result: "pointer" },
  // int BIO_read(BIO *b, void *data, int dlen)
  BIO_read: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  // int BIO_write(BIO *b, const void *data, int dlen)
  BIO_write: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  // size_t BIO_ctrl_pending(BIO *b)
  BIO_ctrl_pending: { parameters: ["pointer"], result: "usize" },
} as const;

const SSL = {
  // const SSL_METHOD *TLS_method(void)
  TLS_method: { parameters: [], result: "pointer" },
  // SSL_CTX *SSL_CTX_new(const SSL_METHOD *method)
  SSL_CTX_new: { parameters: ["pointer"], result: "pointer" },
  // void SSL_CTX_free(SSL_CTX *ctx)
  SSL_CTX_free: { parameters: ["pointer"], result: "void" },
  // long SSL_CTX_ctrl(SSL_CTX *ctx, int cmd, long larg, void *parg)
  SSL_CTX_ctrl: { parameters: ["pointer", "i32", "i64", "pointer"], result: "i64" },
  // int SSL_CTX_set_num_tickets(SSL_CTX *ctx, size_t num_tickets)
  SSL_CTX_set_num_tickets: { parameters: ["pointer", "usize"], result: "i32" },
  // int SSL_CTX_use_certificate(SSL_CTX *ctx, X509 *x)
  SSL_CTX_use_certificate: { parameters: ["pointer", "pointer"], result: "i32" },
  // int SSL_CTX_use_PrivateKey(SSL_CTX *ctx, EVP_PKEY *pkey)
  SSL_CTX_use_PrivateKey: { parameters: ["pointer", "pointer"], result: "i32" },
  // int SSL_CTX_check_private_key(const SSL_CTX *ctx)
  SSL_CTX_check_private_key: { parameters: ["pointer"], result: "i32" },
  // X509_STORE *SSL_CTX_get_cert_store(const SSL_CTX *ctx)
  SSL_CTX_get_cert_store: { parameters: ["pointer"], result: "pointer" },
  // void SSL_CTX_set_verify(SSL_CTX *ctx, int mode, SSL_verify_cb verify_callback)
  SSL_CTX_set_verify: { parameters: ["pointer", "i32", "pointer"], result: "void" },
  // SSL *SSL_new(SSL_CTX *ctx)
  SSL_new: { parameters: ["pointer"], result: "pointer" },
  // void SSL_free(SSL *ssl)
  SSL_free: { parameters: ["pointer"], result: "void" },
  // long SSL_ctrl(SSL *ssl, int cmd, long larg, void *parg)
  SSL_ctrl: { parameters: ["pointer", "i32", "i64", "buffer"], result: "i64" },
  // void SSL_set_bio(SSL *ssl, BIO *rbio, BIO *wbio)
  SSL_set_bio: { parameters: ["pointer", "pointer", "pointer"], result: "void" },
  // void SSL_set_accept_state(SSL *ssl)
  SSL_set_accept_state: { parameters: ["pointer"], result: "void" },
  // void SSL_set_connect_state(SSL *ssl)
  SSL_set_connect_state: { parameters: ["pointer"], result: "void" },
  // int SSL_do_handshake(SSL *ssl)
  SSL_do_handshake: { parameters: ["pointer"], result: "i32" },
  // int SSL_read(SSL *ssl, void *buf, int num)
  SSL_read: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  // int SSL_write(SSL *ssl, const void *buf, int num)
  SSL_write: { parameters: ["pointer", "buffer", "i32"], result: "i32" },
  // int SSL_shutdown(SSL *ssl)
  SSL_shutdown: { parameters: ["pointer"], result: "i32" },
  // int SSL_get_error(const SSL *ssl, int ret)
  SSL_get_error: { parameters: ["pointer", "i32"], result: "i32" },
  // X509 *SSL_get1_peer_certificate(const SSL *ssl)
  SSL_get1_peer_certificate: { parameters: ["pointer"], result: "pointer" },
  // STACK_OF(X509) *SSL_get_peer_cert_chain(const SSL *ssl)
  SSL_get_peer_cert_chain: { parameters: ["pointer"], result: "pointer" },
  // long SSL_get_verify_result(const SSL *ssl)
  SSL_get_verify_result: { parameters: ["pointer"], result: "i64" },
} as const;

type Functions =
  & Readonly<Deno.DynamicLibrary<typeof CRYPTO>["symbols"]>
  & Readonly<Deno.DynamicLibrary<typeof SSL>["symbols"]>;

let functions: Functions | undefined;

/**
 * The functions, for the other files of this folder. Loaded at the first call.
 *
 * @throws {MissingLibraryError} if the host has no OpenSSL 3, and the program carries none.
 */
export function openssl(): Functions {
  return functions ??= {
    ...openLibrary("libcrypto.so.3", CRYPTO),
    ...openLibrary("libssl.so.3", SSL),
  };
}

/** What OpenSSL refused. */
export class OpensslError extends Error {
  /** Always "OpensslError". */
  override readonly name = "OpensslError";

  /**
   * @param operation What was being done: `read the certificate`.
   * @param reason Number of the reason within its library (openssl/sslerr.h …); 0 if none was given. 1000 and more: an alert (RFC 8446,
   * section 6) that the other side sent, and its number.
   * @param said The library's words for it.
   */
  constructor(operation: string, readonly reason: number, said: string) {
    super(`Cannot ${operation}: ${said}`);
  }
}

/** Takes all errors from the thread's queue, and makes one of the first. */
export function takeError(operation: string): OpensslError {
  const first = openssl().ERR_get_error();
  openssl().ERR_clear_error();
  // ERR_GET_REASON() of openssl/err.h
  const reason = Number(first & 0x7f_ffffn);
  if (first === 0n) return new OpensslError(operation, 0, "OpenSSL gives no reason");
  const text = new Uint8Array(new ArrayBuffer(256));
  openssl().ERR_error_string_n(first, text, 256n);
  const said = new TextDecoder().decode(text.subarray(0, text.indexOf(0)));
  // error:0A000086:SSL routines::certificate verify failed
  return new OpensslError(operation, reason, said.split(":").at(-1) || said);
}

/** A pointer that is one. */
export function present(pointer: Deno.PointerValue, operation: string): Deno.PointerObject {
  if (pointer === null) throw takeError(operation);
  return pointer;
}

/** A status that is above 0. */
export function succeeded(status: number | bigint, operation: string): void {
  if (status <= 0) throw takeError(operation);
}

/**
 * Reads DER by one of the library's `d2i` functions, to its last byte.
 *
 * @throws {OpensslError} if the bytes are no such thing.
 */
export function readDer(
  read: (
    into: null,
    at: BufferSource & BigUint64Array<ArrayBuffer>,
    length: bigint,
  ) => Deno.PointerValue,
  free: (pointer: Deno.PointerValue) => void,
  der: Uint8Array<ArrayBuffer>,
  operation: string,
): Deno.PointerObject {
  openssl().ERR_clear_error();
  const begin = Deno.UnsafePointer.value(Deno.UnsafePointer.of(der));
  const at = new BigUint64Array([begin]);
  const pointer = present(read(null, at, BigInt(der.length)), operation);
  if (at[0] !== begin + BigInt(der.length)) {
    free(pointer);
    throw new OpensslError(operation, 0, "more bytes follow it");
  }
  return pointer;
}
