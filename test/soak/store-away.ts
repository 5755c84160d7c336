// The store is away for ten minutes: no viewer is lost, known streams are routed for 300 s, nobody storms. Arguments: viewers, seconds.
import { storeAway } from "../support/cluster-trials.ts";

const [viewers = 100, seconds = 600] = process.argv.slice(2).map(Number);
console.log(`store-away: ${await storeAway(viewers, seconds * 1_000)}`);
