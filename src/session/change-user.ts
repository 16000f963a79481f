/** COM_CHANGE_USER: a whole new login on a connection that stays. New identity, new token, no prepared statements. */
import { type ChangeUser, encodeChangeUser } from "../mysql/command.ts";
import { authenticate, authenticationFor } from "./authentication.ts";
import { connectAttributes, firstAuthResponse } from "./backend-login.ts";
import { verifyAnswer } from "./client-authentication.ts";
import type { CommandContext } from "./command-context.ts";
import { requireCharacterSet } from "./connection-phase.ts";
import { verifiesClients } from "./listener-options.ts";
import { tokensFor } from "./login-tokens.ts";

/** Throws what ends the session: after a refused change of user a server closes the connection, and so do we. */
export async function changeUser(context: CommandContext, change: ChangeUser): Promise<void> {
  const { services, client, backend, state } = context;
  const { options } = services;
  const characterSet = change.characterSet ?? context.login.response.characterSet;
  requireCharacterSet(characterSet);
  const beganMs = context.clock.monotonicMs();
  client.renewBudget(options.handshakeTimeoutMs);
  const verifiesClient = verifiesClients(options);
  const { greeting } = context.login;
  if (verifiesClient) await verifyAnswer(context, { ...change, authPluginData: greeting.authPluginData });
  const authentication = authenticationFor(services, {
    client,
    backend,
    backendIsSecure: context.backendIsSecure,
    tokens: tokensFor(services, change.user, context.signal),
    clientCanAnswer: !verifiesClient,
    user: change.user,
    capabilityFlags: state.capabilities.flags,
  });
  const { characterSet: _characterSet, schema: _schema, ...rest } = context.login.response;
  const response = {
    ...rest,
    characterSet,
    user: change.user,
    authResponse: change.authResponse,
    authPluginName: change.authPluginName,
    ...(change.schema === undefined ? {} : { schema: change.schema }),
    ...(change.connectAttributes === undefined ? {} : { connectAttributes: change.connectAttributes }),
  };
  // The length of the answer is one byte in this packet: a token waits for the backend to ask.
  const first = verifiesClient
    ? { authPluginName: context.backendGreeting.authPluginName, authResponse: new Uint8Array(0) }
    : await firstAuthResponse({ client, clientCanAnswer: true }, response, authentication, greeting);
  backend.resetSequence();
  backend.sendPayload(
    { kind: "login", packet: "COM_CHANGE_USER" },
    encodeChangeUser(
      {
        user: change.user,
        characterSet,
        authResponse: first.authResponse,
        authPluginName: first.authPluginName,
        connectAttributes: connectAttributes(context, response),
        ...(change.schema === undefined ? {} : { schema: change.schema }),
      },
      context.backendFlags,
    ),
  );
  const result = await authenticate(authentication, first.authPluginName, context.backendGreeting.authPluginData);
  context.becomeUser(change.user);
  context.loggedIn({ ...context.login, response }, result.ok.statusFlags, result.ok.sessionState?.schema);
  await context.record({
    type: "login",
    session: context.auditSession(),
    clientAuth: options.clientAuth,
    authPlugin: result.authPluginName,
    tokenUsed: result.tokenUsed,
    durationUs: Math.round((context.clock.monotonicMs() - beganMs) * 1000),
  });
  client.sendPayload(result.okPayload);
}
