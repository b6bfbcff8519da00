/**
 * Lists of HTTP statuses: `200-299,401`.
 *
 * @module
 */

const ONE = /^([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?$/;
/** Characters. */
const MOST = 200;

/** Whether a text is a list of statuses and ranges of them, each the right way round. */
export function isStatusList(text: string): boolean {
  return text.length <= MOST && text.split(",").every((part) => {
    const [, from, to = from] = ONE.exec(part) ?? [];
    return from !== undefined && from <= to!;
  });
}

/**
 * Whether a status is among those.
 *
 * @param list Absent, it is 200 to 399.
 */
export function isWanted(status: number, list = "200-399"): boolean {
  return list.split(",").some((part) => {
    const [, from, to = from] = ONE.exec(part) ?? [];
    return from !== undefined && status >= Number(from) && status <= Number(to);
  });
}
