/** The way in: a key, which is exchanged for a session and not kept. */
import { useState } from "preact/hooks";
import { call, loginNotice, messageOf, principal } from "../api.ts";
import type { Principal } from "../api-types.ts";
import { Logo } from "../parts/logo.tsx";
import { Problem } from "../parts/text.tsx";

export function LoginPage() {
  const [problem, setProblem] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const logIn = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const key = String(new FormData(form).get("key") ?? "").trim();
    if (key === "") return setProblem("Enter a key.");
    setBusy(true);
    setProblem(undefined);
    try {
      const who = await call<Principal>("POST", "auth/login", { key });
      form.reset();
      loginNotice.value = "";
      principal.value = who;
    } catch (thrown) {
      setProblem(messageOf(thrown) === "this is not a key" ? "That is not a key of this querycop." : messageOf(thrown));
      setBusy(false);
    }
  };
  return (
    <main class="login">
      <form class="panel" onSubmit={(event) => void logIn(event)} autocomplete="off">
        <h1>
          <Logo /> querycop
        </h1>
        {loginNotice.value === "" ? null : (
          <p class="notice" role="status">
            {loginNotice.value}
          </p>
        )}
        <label for="key">Key</label>
        <input
          id="key"
          name="key"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          autofocus
          required
        />
        <p class="hint">ADMIN_API_KEY, or the key of an approver. It is exchanged for a session of eight hours.</p>
        <Problem text={problem} />
        <button type="submit" class="primary" disabled={isBusy}>
          Log in
        </button>
      </form>
    </main>
  );
}
