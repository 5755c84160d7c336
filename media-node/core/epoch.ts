/**
 * Unix ms at which the timestamps of every stream that begins at a Hearth node are 0. One constant for all nodes and
 * restarts: two origins fed by the same camera, or one origin before and after a restart, number the same picture
 * alike, and so do all edges behind them. Recent, so that timestamps stay far inside safe integers.
 */
export const hearthEpochMs = Date.UTC(2025, 0, 1);
