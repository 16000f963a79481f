/** Begins: asks whose session this is, and shows the page that the address names, or the way in. */
import { render } from "preact";
import { call, principal } from "./api.ts";
import type { Principal } from "./api-types.ts";
import { Frame } from "./frame.tsx";
import { keepListening } from "./live.ts";
import { LoginPage } from "./pages/login.tsx";
import { listenForShortcuts } from "./shortcuts.ts";

function App() {
  if (principal.value === undefined) return <main class="login" aria-busy="true" />;
  return principal.value === null ? <LoginPage /> : <Frame who={principal.value} />;
}

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
keepListening();
listenForShortcuts();
call<Principal>("GET", "auth/session").then(
  (who) => {
    principal.value = who;
  },
  () => {
    principal.value = null;
  },
);
