/** A process of its own that logs in with wrong passwords until it is ended: PORT USER CLIENTS. Each refusal is a line. */
import { RawClient } from "./raw-client.ts";

const [port = "", user = "", clients = "1"] = process.argv.slice(2);

async function guess(): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const client = await RawClient.connect("127.0.0.1", Number(port));
    try {
      await client.login({ user, password: `wrong ${attempt}`, plugin: "caching_sha2_password" });
      process.stdout.write("let in\n");
    } catch {
      process.stdout.write("refused\n");
    }
    client.reset();
  }
}

await Promise.all(Array.from({ length: Number(clients) }, guess));
