/**
 * Certificates (X.509, RFC 5280): made, signed and read. Keys are ECDSA on P-256; WebCrypto makes them.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { cString } from "../libc.ts";
import { openssl, OpensslError, present, readDer, succeeded } from "./openssl.ts";

/** openssl/obj_mac.h */
const NID_COMMON_NAME = 13;
const NID_ORGANIZATION = 17;
const NID_ORGANIZATIONAL_UNIT = 18;
const NID_KEY_USAGE = 83;
const NID_BASIC_CONSTRAINTS = 87;
const NID_EXT_KEY_USAGE = 126;
/** openssl/asn1.h */
const MBSTRING_UTF8 = 0x1000;
/** Version 3, counted from 0. */
const X509_VERSION_3 = 2n;
/** What a DER key of P-256 begins with (RFC 5480); 65 bytes follow, the point. */
const P256_HEAD = "3059301306072a8648ce3d020106082a8648ce3d03010703420004";

/** Who a certificate is for. */
export interface CertificateSubject {
  readonly commonName: string;
  readonly organization: string;
  readonly organizationalUnit?: string;
}

/** What a certificate says. */
export interface CertificateFacts extends CertificateSubject {
  /** In hexadecimal. */
  readonly serial: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

/** What to write into a certificate. */
export interface CertificateRequest {
  readonly subject: CertificateSubject;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  /** Who signs: PKCS #8, DER; and its certificate, DER, unless it signs its own. */
  readonly signer: {
    readonly key: Uint8Array<ArrayBuffer>;
    readonly certificate?: Uint8Array<ArrayBuffer>;
  };
}

/** Whether bytes are a public key on P-256, uncompressed, and nothing else. */
export function isP256Key(publicKey: Uint8Array): boolean {
  return publicKey.length === 91 &&
    hex(publicKey.subarray(0, 27)) === P256_HEAD;
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

/** A certificate of the library's, to be freed. @throws {OpensslError} if it is none. */
export function x509(der: Uint8Array<ArrayBuffer>): Deno.PointerObject {
  const { d2i_X509, X509_free } = openssl();
  return readDer(d2i_X509, X509_free, der, "read a certificate");
}

/** A private key of the library's, to be freed. @throws {OpensslError} if it is none. */
export function privateKey(der: Uint8Array<ArrayBuffer>): Deno.PointerObject {
  const { d2i_AutoPrivateKey, EVP_PKEY_free } = openssl();
  return readDer(d2i_AutoPrivateKey, EVP_PKEY_free, der, "read a private key");
}

/** The bytes of a certificate of the library's. */
export function derOf(certificate: Deno.PointerObject): Uint8Array<ArrayBuffer> {
  return written((into) => openssl().i2d_X509(certificate, into), "write a certificate");
}

/** The public key in a certificate: SubjectPublicKeyInfo, DER. @throws {OpensslError} if it is none. */
export function publicKeyOf(der: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const certificate = x509(der);
  try {
    const key = present(openssl().X509_get0_pubkey(certificate), "read a certificate's key");
    return written((into) => openssl().i2d_PUBKEY(key, into), "write a public key");
  } finally {
    openssl().X509_free(certificate);
  }
}

/** What one of the library's `i2d` functions writes: without a place it says how much that is. */
function written(
  write: (into: BigUint64Array<ArrayBuffer> | null) => number,
  operation: string,
): Uint8Array<ArrayBuffer> {
  const length = write(null);
  succeeded(length, operation);
  const bytes = new Uint8Array(new ArrayBuffer(length));
  write(new BigUint64Array([Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes))]));
  return bytes;
}

/**
 * Makes a certificate. One that signs itself is an authority's, which signs others but no further authorities; the others are for
 * servers and clients.
 *
 * @returns DER.
 * @throws {OpensslError} if a key or the signer's certificate is none.
 */
export function makeCertificate(request: CertificateRequest): Uint8Array<ArrayBuffer> {
  const ssl = openssl();
  const { subject, publicKey, signer } = request;
  using held = new DisposableStack();
  const made = held.adopt(present(ssl.X509_new(), "make a certificate"), ssl.X509_free);
  succeeded(ssl.X509_set_version(made, X509_VERSION_3), "set a certificate's version");
  const serial = crypto.getRandomValues(new Uint8Array(16));
  // Positive, and without leading zeros.
  serial[0] = (serial[0]! & 0x3f) | 0x40;
  succeeded(
    ssl.ASN1_STRING_set(ssl.X509_get_serialNumber(made), serial, serial.length),
    "number a certificate",
  );
  for (
    const [field, milliseconds] of [
      [ssl.X509_getm_notBefore(made), request.notBefore],
      [ssl.X509_getm_notAfter(made), request.notAfter],
    ] as const
  ) {
    present(
      ssl.ASN1_TIME_set(field, BigInt(Math.floor(milliseconds / 1000))),
      "date a certificate",
    );
  }
  const key = held.adopt(
    readDer(ssl.d2i_PUBKEY, ssl.EVP_PKEY_free, publicKey, "read a public key"),
    ssl.EVP_PKEY_free,
  );
  succeeded(ssl.X509_set_pubkey(made, key), "set a certificate's key");
  const name = present(ssl.X509_get_subject_name(made), "name a certificate");
  addName(name, "O", subject.organization);
  if (subject.organizationalUnit !== undefined) addName(name, "OU", subject.organizationalUnit);
  addName(name, "CN", subject.commonName);
  const issuer = signer.certificate === undefined
    ? made
    : held.adopt(x509(signer.certificate), ssl.X509_free);
  succeeded(
    ssl.X509_set_issuer_name(made, ssl.X509_get_subject_name(issuer)),
    "name a certificate's issuer",
  );
  const authority = signer.certificate === undefined;
  const extensions: readonly (readonly [number, string])[] = authority
    ? [
      [NID_BASIC_CONSTRAINTS, "critical,CA:TRUE,pathlen:0"],
      [NID_KEY_USAGE, "critical,keyCertSign,cRLSign"],
    ]
    : [
      [NID_BASIC_CONSTRAINTS, "critical,CA:FALSE"],
      [NID_KEY_USAGE, "critical,digitalSignature"],
      [NID_EXT_KEY_USAGE, "serverAuth,clientAuth"],
    ];
  for (const [nid, value] of extensions) {
    const extension = held.adopt(
      present(ssl.X509V3_EXT_conf_nid(null, null, nid, cString(value)), "extend a certificate"),
      ssl.X509_EXTENSION_free,
    );
    succeeded(ssl.X509_add_ext(made, extension, -1), "extend a certificate");
  }
  const signing = held.adopt(privateKey(signer.key), ssl.EVP_PKEY_free);
  succeeded(ssl.X509_sign(made, signing, ssl.EVP_sha256()), "sign a certificate");
  return derOf(made);
}

function addName(name: Deno.PointerObject, field: string, value: string): void {
  const bytes = new TextEncoder().encode(value);
  succeeded(
    openssl().X509_NAME_add_entry_by_txt(
      name,
      cString(field),
      MBSTRING_UTF8,
      bytes,
      bytes.length,
      -1,
      0,
    ),
    `write "${value}" into a certificate`,
  );
}

/**
 * What a certificate says. That somebody who is trusted signed it is another matter.
 *
 * @throws {OpensslError} if it is none, or names nobody.
 */
export function readCertificate(der: Uint8Array<ArrayBuffer>): CertificateFacts {
  const ssl = openssl();
  using held = new DisposableStack();
  const certificate = held.adopt(x509(der), ssl.X509_free);
  const epoch = held.adopt(
    present(ssl.ASN1_TIME_set(null, 0n), "make a time"),
    ssl.ASN1_STRING_free,
  );
  const since = (time: Deno.PointerValue): number => {
    const days = new Int32Array(1);
    const seconds = new Int32Array(1);
    succeeded(ssl.ASN1_TIME_diff(days, seconds, epoch, time), "read a certificate's time");
    return (days[0]! * 86_400 + seconds[0]!) * 1000;
  };
  const name = present(ssl.X509_get_subject_name(certificate), "read a certificate's name");
  const entry = (nid: number): string | undefined => {
    const index = ssl.X509_NAME_get_index_by_NID(name, nid, -1);
    if (index < 0) return undefined;
    if (ssl.X509_NAME_get_index_by_NID(name, nid, index) >= 0) {
      throw new OpensslError("read a certificate", 0, "it has two names");
    }
    const bytes = contentOf(ssl.X509_NAME_ENTRY_get_data(ssl.X509_NAME_get_entry(name, index)));
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  };
  const commonName = entry(NID_COMMON_NAME);
  const organization = entry(NID_ORGANIZATION);
  if (commonName === undefined || organization === undefined) {
    throw new OpensslError("read a certificate", 0, "it names nobody");
  }
  const organizationalUnit = entry(NID_ORGANIZATIONAL_UNIT);
  return {
    commonName,
    organization,
    ...(organizationalUnit === undefined ? {} : { organizationalUnit }),
    serial: hex(contentOf(ssl.X509_get_serialNumber(certificate))),
    notBefore: since(ssl.X509_getm_notBefore(certificate)),
    notAfter: since(ssl.X509_getm_notAfter(certificate)),
  };
}

/** The bytes of an ASN1_STRING. */
function contentOf(string: Deno.PointerValue): Uint8Array<ArrayBuffer> {
  const { ASN1_STRING_length, ASN1_STRING_get0_data } = openssl();
  const length = ASN1_STRING_length(string);
  const data = ASN1_STRING_get0_data(string);
  const copy = new Uint8Array(new ArrayBuffer(Math.max(length, 0)));
  if (data !== null && length > 0) new Deno.UnsafePointerView(data).copyInto(copy);
  return copy;
}
