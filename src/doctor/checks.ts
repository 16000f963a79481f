/** All checks, in the order in which they are shown. */
import { backendExposure, serverBypass } from "./bypass-checks.ts";
import type { Check } from "./check.ts";
import { hostClock } from "./clock-check.ts";
import { clientCertificate, configFiles, configLoad } from "./configuration-checks.ts";
import { serverGrants } from "./grant-checks.ts";
import { auditDisk, limitsFiles, limitsMemory, listenerPort, policyLint } from "./host-checks.ts";
import { backendLogin, serverSettings } from "./login-checks.ts";
import { backendDns, backendGreeting, backendTcp } from "./network-checks.ts";
import { backendPassword } from "./password-check.ts";
import { backendCaBundle, backendTls } from "./tls-checks.ts";
import { tokenCommand, tokenPolicy, tokenSigner } from "./token-checks.ts";

export const CHECKS: readonly Check[] = [
  configLoad,
  hostClock,
  limitsFiles,
  limitsMemory,
  auditDisk,
  policyLint,
  configFiles,
  listenerPort,
  clientCertificate,
  backendDns,
  backendExposure,
  backendTcp,
  backendGreeting,
  backendTls,
  backendCaBundle,
  tokenCommand,
  tokenSigner,
  tokenPolicy,
  backendPassword,
  backendLogin,
  serverSettings,
  serverGrants,
  serverBypass,
];
