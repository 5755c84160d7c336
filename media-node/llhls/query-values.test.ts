import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../test/support/seeded-random.ts";
import { queryValuesOf } from "./query-values.ts";

const keys = ["session", "_HLS_msn", "a"];

test("a query's values are those that a parser of URLs finds", () => {
  const random = seededRandom(7);
  const pieces = ["session", "_HLS_msn", "a", "=", "&", "?", "%41", "+", "1", "session=x", "&&", "=="];
  for (let round = 0; round < 20_000; round++) {
    let rawQuery = "";
    for (let count = Math.floor(random() * 8); count > 0; count--) {
      rawQuery += pieces[Math.floor(random() * pieces.length)]!;
    }
    const query = new URLSearchParams(rawQuery);
    const values = queryValuesOf({ rawQuery, query });
    for (const key of keys) assert.equal(values.get(key), query.get(key), `${key} in ${rawQuery}`);
  }
});
