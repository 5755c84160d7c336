// Three edges, 500 viewers, one edge killed: 95 % play again within 5 s, all within the lease and 5 s. An argument says how many.
import { killOneOfThree } from "../support/cluster-trials.ts";

console.log(`viewers-move: ${await killOneOfThree(Number(process.argv[2] ?? 500))}`);
