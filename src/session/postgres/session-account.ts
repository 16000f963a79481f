/** What a session says of itself: to a policy, in every audit record, to an operator, and in the log at its end. */
import type { AuditSession } from "../../audit/audit-event.ts";
import type { ClientTlsIdentity } from "../../net/tls.ts";
import type { StartupMessage } from "../../postgres/startup.ts";
import type { ListenerOptions } from "../listener-options.ts";
import { type SessionView, sessionView } from "../session-view.ts";
import type { SessionSubject } from "../statement/statement-judge.ts";
import type { ClientLeg } from "./client-leg.ts";
import type { RelayContext } from "./relay/relay-context.ts";
import type { SessionFacts } from "./session-facts.ts";

interface Account {
  readonly id: string;
  readonly options: ListenerOptions;
  readonly clientAddress: string;
  readonly tls: ClientTlsIdentity | undefined;
  readonly message: StartupMessage | undefined;
  readonly userSent: string | undefined;
  readonly backendConnectionId: number | undefined;
  readonly facts: SessionFacts | undefined;
  readonly isDsql: boolean;
}

export function auditSessionOf(account: Account): AuditSession {
  const { options, tls, message, facts } = account;
  return {
    id: account.id,
    listener: options.name,
    clientAddress: account.clientAddress,
    clientTls: tls?.protocol,
    tlsIdentity: tls?.alternativeNames[0] ?? tls?.commonName,
    userSent: account.userSent,
    user: message?.user,
    backend: `${options.backend.host}:${options.backend.port}`,
    backendConnectionId: account.backendConnectionId,
    schema: message?.database,
    engine: account.isDsql ? "dsql" : "postgresql",
    searchPath: facts?.parameter("search_path"),
    characterSet: facts?.parameter("client_encoding"),
    program: facts?.parameter("application_name"),
  };
}

/** The same object until the server reports another setting: nothing else of who has logged in changes, and each record has it. */
export function keptAuditSession(facts: SessionFacts, make: () => AuditSession): () => AuditSession {
  let kept: { readonly audit: AuditSession; readonly revision: number } | undefined;
  return () => {
    if (kept?.revision !== facts.revision) kept = { audit: make(), revision: facts.revision };
    return kept.audit;
  };
}

/** Whom a policy asks about. */
export function subjectOf(
  { name, backend }: ListenerOptions,
  client: ClientLeg,
  clientAddress: string,
): SessionSubject {
  return {
    clientAddress,
    isTls: client.tls !== undefined,
    listener: name,
    ...(backend.role === "reader" || backend.role === "writer" ? { backendRole: backend.role } : {}),
    isAurora: backend.isAurora,
  };
}

interface Viewed {
  readonly audit: AuditSession;
  /** Undefined until the login is through. */
  readonly relay: RelayContext | undefined;
  readonly isInCommands: boolean;
  readonly isHolding: boolean;
  readonly startedMs: number;
  readonly bytesToClient: number;
}

export function viewOf({ audit, relay, isInCommands, isHolding, startedMs, bytesToClient }: Viewed): SessionView {
  const isIdle = isInCommands && relay?.isIdle === true;
  return sessionView({
    audit,
    isInCommands,
    startedMs,
    lastActivityMs: relay?.lastActivityMs ?? startedMs,
    bytesToClient,
    bytesToBackend: relay?.backend.bytesWritten ?? 0,
    context: relay && {
      isIdle,
      isHeld: isHolding,
      isInTransaction: relay.facts.isInTransaction,
      ordinal: relay.facts.ordinal,
      judged: undefined,
    },
  });
}
