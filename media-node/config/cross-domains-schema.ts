import { text } from "./scalars.ts";
import { group, list } from "./schema.ts";

export const crossDomainsSchema = group("Which web pages may read the answers (CORS).", {
  Url: list(text("An origin, `*` wildcards allowed; `*` alone means every page.", { isRequired: true })),
  Header: list(
    group("Sent with every answer.", {
      Key: text("Header name.", { isRequired: true }),
      Value: text("Header value.", { isRequired: true }),
    }),
  ),
});
