import { printReference } from "./reference.ts";

console.log(printReference().trimEnd());
