/**
 * An operator's control of one breaker, in a dialog. The admin token is asked for once a tab, kept
 * in its session storage and sent with actions only.
 */
import { byId, setText } from "./card.js";
import { actions, modes } from "./text.js";

const tokenKey = "amicis-admin-token";
/** How long the notice of a done action stays (ms). */
const noticeFor = 8000;

export const makeControl = () => {
  const dialog = byId("control");
  const form = byId("control-form");
  let name = "";
  let timer;

  const token = () => sessionStorage.getItem(tokenKey) ?? "";
  const keep = (given) => {
    if (given === "") sessionStorage.removeItem(tokenKey);
    else sessionStorage.setItem(tokenKey, given);
    byId("token").value = "";
    byId("token").required = given === "";
    byId("token-asked").hidden = given !== "";
    byId("token-kept").hidden = given === "";
  };

  const complain = (text) => setText(byId("control-problem"), text);

  const notify = (text) => {
    clearTimeout(timer);
    setText(byId("notice"), text);
    timer = setTimeout(() => setText(byId("notice"), ""), noticeFor);
  };

  for (const [action, [label, meaning]] of Object.entries(actions)) {
    const choice = byId("choice").content.firstElementChild.cloneNode(true);
    choice.querySelector("input").value = action;
    setText(choice.querySelector("b"), label);
    setText(choice.querySelector("small"), meaning);
    byId("choices").append(choice);
  }

  /** What went wrong, in words for the operator. */
  const problemOf = async (response) => {
    if (response.status === 401) {
      keep("");
      byId("token").focus();
      return "The admin token was not accepted.";
    }
    const { error, detail, correlationId } = await response.json().catch(() => ({}));
    const what = error ?? `Refused with ${response.status}`;
    const more = detail === undefined ? "" : ` ${detail}`;
    const where = correlationId === undefined ? "" : ` Log lines: ${correlationId}.`;
    return `${what}.${more}${where}`;
  };

  const apply = async () => {
    const action = new FormData(form).get("action");
    const isForFleet = byId("fleet").checked;
    const given = byId("token").value.trim();
    if (given !== "") keep(given);
    complain("");
    byId("apply").disabled = true;
    try {
      const query = isForFleet ? "?fleet=true" : "";
      const response = await fetch(`admin/breakers/${encodeURIComponent(name)}${query}`, {
        method: "POST",
        headers: { "authorization": `Bearer ${token()}`, "content-type": "application/json" },
        body: JSON.stringify({ action }),
      });
      if (!response.ok) return complain(await problemOf(response));
      dialog.close();
      const where = isForFleet ? "on all replicas" : "on this replica";
      notify(`${actions[action][0]}: ${name}, ${where}. Done.`);
    } catch {
      complain("The service could not be reached. Whether it was done is not known.");
    } finally {
      byId("apply").disabled = false;
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void apply();
  });
  byId("cancel").addEventListener("click", () => dialog.close());
  byId("forget").addEventListener("click", () => {
    keep("");
    byId("token").focus();
  });

  return (breaker) => {
    name = breaker.name;
    form.reset();
    complain("");
    keep(token());
    setText(byId("control-title"), `Control ${name}`);
    const mode = modes[breaker.mode] ?? breaker.mode;
    setText(byId("control-now"), `Now ${breaker.state}, ${mode === "" ? "automatic" : mode}.`);
    dialog.showModal();
  };
};
