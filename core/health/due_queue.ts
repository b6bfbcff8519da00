/**
 * Things to do in the order of their times.
 *
 * @module
 */

/** A binary heap: the earliest is on top. */
export class Heap<T extends { readonly due: number }> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The earliest, left where it is. */
  get first(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]!.due <= item.due) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  /** The earliest, taken out. */
  pop(): T | undefined {
    const items = this.#items;
    const top = items[0];
    const last = items.pop();
    if (last === undefined || items.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]!.due < items[child]!.due) child++;
      if (items[child]!.due >= last.due) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return top;
  }
}
