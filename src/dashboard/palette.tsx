/** One box for all that can be reached: pages by name, and whatever was copied from an error or a log by its form. */
import { useState } from "preact/hooks";
import { principal } from "./api.ts";
import { togglePause } from "./live.ts";
import { go } from "./location.ts";
import { Dialog } from "./parts/dialog.tsx";
import { toggleTimeStyle } from "./preferences.ts";
import { TARGETS } from "./shortcuts.ts";

interface Entry {
  readonly title: string;
  readonly hint: string;
  readonly act: () => void;
}

function entriesFor(text: string): Entry[] {
  const isAdmin = principal.value?.role === "admin";
  const pages = TARGETS.filter(({ isForApprovers }) => isAdmin || isForApprovers === true).map(
    ({ title, page, key }): Entry => ({ title, hint: `g ${key}`, act: () => go(page) }),
  );
  const actions: Entry[] = [
    { title: "Pause or go on", hint: "p", act: togglePause },
    { title: "Times: relative or absolute", hint: "", act: toggleTimeStyle },
  ];
  const wanted = text.trim();
  const fitting = [...pages, ...actions].filter(({ title }) => title.toLowerCase().includes(wanted.toLowerCase()));
  return wanted === "" ? fitting : [...fitting, ...searches(wanted, isAdmin)];
}

function searches(wanted: string, isAdmin: boolean): Entry[] {
  const found: Entry[] = [];
  if (/^apr-/.test(wanted)) found.push({ title: `Approval ${wanted}`, hint: "", act: () => go("approvals", [wanted]) });
  if (!isAdmin) return found;
  if (/^[0-9a-f]{8}-[0-9a-z]+$/.test(wanted)) {
    found.push({ title: `Decision ${wanted}`, hint: "audit", act: () => go("audit", [wanted]) });
  }
  if (/-\d+$/.test(wanted)) found.push({ title: `Session ${wanted}`, hint: "", act: () => go("sessions", [wanted]) });
  if (/^[0-9a-f]{64}$/.test(wanted)) {
    found.push({ title: "Statement of this digest", hint: "", act: () => go("statements", [wanted]) });
  }
  return [
    ...found,
    { title: `User ${wanted} in the audit log`, hint: "", act: () => go("audit", [], { user: wanted }) },
    { title: `Table ${wanted} in the audit log`, hint: "", act: () => go("audit", [], { table: wanted }) },
    { title: `Statements with ${wanted}`, hint: "", act: () => go("statements", [], { search: wanted }) },
  ];
}

export function Palette({ onClose }: { readonly onClose: () => void }) {
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const entries = entriesFor(text);
  const at = Math.min(chosen, entries.length - 1);
  const run = (entry: Entry | undefined): void => {
    onClose();
    entry?.act();
  };
  const move = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    setChosen((at + step + entries.length) % entries.length);
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    run(entries[at]);
  };
  return (
    <Dialog title="Go to" onClose={onClose} isWide>
      <form onSubmit={submit}>
        <input
          class="palette-box"
          role="combobox"
          aria-label="A page, a user, a table, an id"
          aria-expanded="true"
          aria-controls="palette-list"
          aria-activedescendant={`palette-${at}`}
          placeholder="A page, a user, a table, the id of a decision, session or approval"
          value={text}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setChosen(0);
          }}
          onKeyDown={move}
          spellcheck={false}
        />
      </form>
      <div id="palette-list" role="listbox" aria-label="What fits" class="palette-list">
        {entries.map((entry, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents lint/a11y/useFocusableInteractive: the box has the focus and the keys
          <div
            key={entry.title}
            id={`palette-${index}`}
            role="option"
            aria-selected={index === at}
            class="palette-entry"
            onClick={() => run(entry)}
          >
            <span>{entry.title}</span>
            <kbd>{entry.hint}</kbd>
          </div>
        ))}
      </div>
    </Dialog>
  );
}
