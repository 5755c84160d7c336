/** What `${…}` may refer to. Handed in: this room knows no process. */
export interface MacroValues {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Stands in for `${env:HOSTNAME}` where the variable is not set. */
  readonly hostname?: string | undefined;
  /** `${ome:Home}` and `${ome:CurrentPath}`. */
  readonly homeDirectory?: string | undefined;
  readonly currentDirectory?: string | undefined;
}

/** @param unknown called for each macro that stands for nothing: an unset variable without default, or no macro at all */
export function expandMacros(
  text: string,
  values: MacroValues,
  unknown: (macro: string, isUnset: boolean) => void,
): string {
  if (!text.includes("${")) return text;
  return text.replace(/\$\{([^}]*)\}/g, (whole, inside: string) => {
    const environment = /^env:([^:]*)(?::(.*))?$/s.exec(inside);
    if (environment) return readVariable(environment[1]!, environment[2], values, () => unknown(whole, true));
    if (inside === "ome:Home" && values.homeDirectory !== undefined) return values.homeDirectory;
    if (inside === "ome:CurrentPath" && values.currentDirectory !== undefined) return values.currentDirectory;
    if (inside !== "PublicIP") unknown(whole, false);
    return whole;
  });
}

function readVariable(name: string, otherwise: string | undefined, values: MacroValues, onUnset: () => void): string {
  const value = Object.hasOwn(values.env, name) ? values.env[name] : undefined;
  // Set but empty wins over the default, as in OvenMediaEngine.
  if (value !== undefined) return value;
  if (otherwise !== undefined) return otherwise;
  if (name === "HOSTNAME" && values.hostname !== undefined) return values.hostname;
  onUnset();
  return "";
}
