import type { ApplicationConfig, VhostConfig } from "./server-config.ts";

export type ApplicationChoice =
  | {
      readonly kind: "application";
      readonly application: ApplicationConfig;
      readonly isDynamic: boolean;
      readonly reason: string;
    }
  | { readonly kind: "none"; readonly reason: string };

/**
 * The application of that name, or a copy of the template `*` under that name. OvenMediaEngine takes the last of several
 * templates, and so do we. Making one costs nothing and leaves nothing behind.
 */
export function findApplication(vhost: VhostConfig, app: string): ApplicationChoice {
  const application = vhost.applications.find(({ name, isTemplate }) => name === app && !isTemplate);
  if (application) return { kind: "application", application, isDynamic: false, reason: `"${app}" is configured` };
  const template = vhost.applications.findLast(({ isTemplate }) => isTemplate);
  if (!template || app === "*" || app === "") {
    return { kind: "none", reason: `there is neither an application "${app}" nor a template in "${vhost.name}"` };
  }
  const made = { ...template, name: app, isTemplate: false };
  return { kind: "application", application: made, isDynamic: true, reason: `"${app}" is made from the template` };
}
