/** COM_CHANGE_USER: a whole new login on a connection that stays. New identity, new token, no prepared statements. */
import { type ChangeUser, encodeChangeUser } from "../../../mysql/command.ts";
import { tokensFor } from "../../accounts/login-tokens.ts";
import { verifiesClients } from "../../listener-options.ts";
import type { CommandContext } from "../command-context.ts";
import { authenticate, authenticationFor, BackendRefusal } from "./authentication.ts";
import { asUser, connectAttributes, firstAuthResponse, NOTHING_YET, namesOf } from "./backend-login.ts";
import { okFor, verifyAnswer } from "./client-authentication.ts";
import { knownBy, requireCharacterSet } from "./connection-phase.ts";

/**
 * A change that the backend refuses ends the session where the backend closes the connection, as MySQL does; MariaDB keeps
 * it for the old user, without statements and with the variables of a new session. Throws what ends the session at once.
 */
export async function changeUser(context: CommandContext, given: ChangeUser): Promise<void> {
  const { services, client, backend, state } = context;
  const { options } = services;
  const change = knownBy(options, given);
  const characterSet = change.characterSet ?? context.login.response.characterSet;
  requireCharacterSet(characterSet);
  const beganMs = context.clock.monotonicMs();
  client.renewBudget(options.handshakeTimeoutMs);
  backend.renewBudget(options.backend.loginTimeoutMs);
  const verifiesClient = verifiesClients(options);
  const { greeting } = context.login;
  const answer = { ...change, authPluginData: greeting.authPluginData };
  const verified = verifiesClient ? await verifyAnswer(context, answer) : undefined;
  const password = await services.passwords?.current(context.signal);
  const authentication = authenticationFor(services, {
    client,
    backend,
    backendIsSecure: context.backendIsSecure,
    tokens: tokensFor(services, change.user, context.signal),
    password,
    clientCanAnswer: !verifiesClient,
    user: change.user,
    capabilityFlags: state.capabilities.flags,
  });
  const { userBytes: _userBytes, schema: _schema, schemaBytes: _schemaBytes, ...rest } = context.login.response;
  const response = {
    ...rest,
    ...namesOf(change),
    characterSet,
    authResponse: change.authResponse,
    authPluginName: change.authPluginName,
    ...(change.connectAttributes === undefined ? {} : { connectAttributes: change.connectAttributes }),
  };
  // The length of the answer is one byte in this packet: a token waits for the backend to ask.
  const first =
    password !== undefined
      ? NOTHING_YET
      : verifiesClient
        ? { authPluginName: context.backendGreeting.authPluginName, authResponse: new Uint8Array(0) }
        : await firstAuthResponse({ client, clientAnswers: "now" }, response, authentication, greeting);
  backend.resetSequence();
  backend.sendPayload(
    { kind: "login", packet: "COM_CHANGE_USER" },
    encodeChangeUser(
      {
        ...namesOf(password === undefined ? change : asUser(change, password.user)),
        characterSet,
        authResponse: first.authResponse,
        authPluginName: first.authPluginName,
        connectAttributes: connectAttributes(context, response),
      },
      context.backendFlags,
    ),
  );
  const result = await authenticate(authentication, first.authPluginName, context.backendGreeting.authPluginData).catch(
    (thrown: unknown) => stayAsBefore(context, thrown),
  );
  password?.wipe();
  if (result === undefined) return;
  verified?.requireStill();
  context.becomeUser(change.user);
  context.loggedIn({ ...context.login, response }, result.ok.statusFlags, result.ok.sessionState?.schema);
  await context.record({
    type: "login",
    session: context.auditSession(),
    clientAuth: options.clientAuth,
    authPlugin: result.authPluginName,
    tokenUsed: result.tokenUsed,
    backendUser: password?.user === change.user ? undefined : password?.user,
    durationUs: Math.round((context.clock.monotonicMs() - beganMs) * 1000),
  });
  client.sendPayload(okFor(result, verified, state.capabilities.flags));
}

/** The backend's refusal is the answer. Whether the session goes on, the backend says by closing or not. */
async function stayAsBefore(context: CommandContext, thrown: unknown): Promise<undefined> {
  if (!(thrown instanceof BackendRefusal)) throw thrown;
  const { state, client } = context;
  const { errorNumber, sqlState = "HY000" } = thrown.errPacket;
  await context.record({
    type: "refuse",
    session: context.auditSession(),
    reason: thrown.closeReason,
    errorCode: thrown.code,
    errorNumber,
  });
  state.reset();
  state.setSchema(undefined);
  state.isSchemaKnown = false;
  client.sendErr({ ...thrown.errPacket, sqlState });
  return undefined;
}
