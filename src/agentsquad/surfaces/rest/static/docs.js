"use strict";
/* Reads /openapi.json and shows it. Everything is made by createElement and textContent: nothing
   that the description or a server says is ever taken as markup. */

const METHODS = ["get", "post", "put", "patch", "delete"];
const byId = (id) => document.getElementById(id);
let spec = null;

function make(tag, options = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "text") node.textContent = value;
    else if (name === "class") node.className = value;
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/* Words with `code` and **strong** in them. */
function prose(text) {
  const node = make("p");
  for (const part of text.split(/(`[^`]+`|\*\*[^*]+\*\*)/)) {
    if (part.startsWith("`")) node.append(make("code", { text: part.slice(1, -1) }));
    else if (part.startsWith("**")) node.append(make("strong", { text: part.slice(2, -2) }));
    else node.append(part);
  }
  return node;
}

const paragraphs = (text) => (text || "").split(/\n\s*\n/).filter(Boolean).map(prose);

function followed(value) {
  let found = value;
  for (let steps = 0; found && found.$ref && steps < 10; steps += 1) {
    found = found.$ref.slice(2).split("/").reduce((inner, name) => inner && inner[name], spec);
  }
  return found || {};
}

function kindOf(schema) {
  const found = followed(schema);
  const options = found.anyOf || found.oneOf;
  if (options) return [...new Set(options.map(kindOf))].join(" or ");
  if (found.enum) return found.enum.map((one) => JSON.stringify(one)).join(" | ");
  if ("const" in found) return JSON.stringify(found.const);
  if (found.type === "array") return "list of " + kindOf(found.items || {});
  if (found.type === "object" && schema.$ref) return schema.$ref.split(/[/.]/).pop();
  return Array.isArray(found.type) ? found.type.join(" or ") : found.type || "anything";
}

function fieldTable(schema, caption) {
  const found = followed(schema);
  const names = Object.entries(found.properties || {});
  if (!names.length) return null;
  const required = new Set(found.required || []);
  const body = make("tbody");
  for (const [name, inner] of names) {
    const words = inner.description || followed(inner).description || "";
    const rest = "default" in inner && !required.has(name) && inner.default !== null
      ? ` (default ${JSON.stringify(inner.default)})` : "";
    body.append(make("tr", {},
      make("td", {}, make("code", { text: name })),
      make("td", { text: kindOf(inner) }),
      make("td", { text: required.has(name) ? "yes" : "" }),
      make("td", { text: words.split("\n\n")[0] + rest })));
  }
  const head = make("thead", {}, make("tr", {},
    ...["Name", "Type", "Required", "Meaning"].map((text) => make("th", { scope: "col", text }))));
  return make("div", {}, make("h3", { text: caption }),
    make("table", { "aria-label": caption }, head, body));
}

function responseTable(operation) {
  const body = make("tbody");
  for (const [status, response] of Object.entries(operation.responses)) {
    const found = followed(response);
    body.append(make("tr", {}, make("td", {}, make("code", { text: status })),
      make("td", { text: found.description || "" })));
  }
  const details = make("details", {}, make("summary", { text: "Answers and errors" }),
    make("table", { "aria-label": "Answers and errors" }, body));
  return details;
}

function answerSchema(operation) {
  const good = Object.entries(operation.responses).find(([status]) => status.startsWith("2"));
  const content = good && followed(good[1]).content;
  return content && content["application/json"] ? content["application/json"].schema : null;
}

function inputsOf(operation, id) {
  const rows = [];
  for (const given of operation.parameters || []) {
    const one = followed(given);
    if (one.name === "Squad-Namespace") continue;
    const key = `${id}-${one.in}-${one.name}`;
    const input = make("input", { id: key, type: "text", autocomplete: "off", spellcheck: "false",
      required: one.required, "aria-describedby": one.description ? `${key}-note` : null });
    rows.push({ one, input, node: make("div", { class: "field" },
      make("label", { for: key, text: `${one.name} (${one.in}${one.required ? ", required" : ""})` }),
      input,
      one.description ? make("p", { class: "note", id: `${key}-note`, text: one.description }) : null) });
  }
  return rows;
}

function tryForm(path, method, operation, id) {
  const form = make("form", { "aria-label": `Try ${operation.operationId}` });
  const rows = inputsOf(operation, id);
  form.append(make("h3", { text: "Try it" }), ...rows.map((row) => row.node));
  let area = null;
  const content = operation.requestBody && followed(operation.requestBody).content;
  const mediaType = content && Object.keys(content)[0];
  if (mediaType) {
    const example = content[mediaType].example;
    area = make("textarea", { id: `${id}-body`, spellcheck: "false" });
    area.value = example === undefined ? "{}" : JSON.stringify(example, null, 2);
    form.append(make("div", { class: "field" },
      make("label", { for: `${id}-body`, text: `Body (${mediaType})` }), area));
  }
  const button = make("button", { type: "submit", text: "Send" });
  const shown = make("div", { "aria-live": "polite" });
  form.append(button, shown);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    shown.replaceChildren(make("p", { class: "note", text: "Sending …" }));
    try {
      shown.replaceChildren(...await send(path, method, rows, area, mediaType));
    } catch (error) {
      shown.replaceChildren(make("p", { text: `No answer: ${error.message}` }));
    } finally {
      button.disabled = false;
    }
  });
  return form;
}

async function send(path, method, rows, area, mediaType) {
  const headers = { Accept: "application/json" };
  const query = new URLSearchParams();
  let place = path;
  for (const { one, input } of rows) {
    if (input.value === "") continue;
    if (one.in === "path") place = place.replace(`{${one.name}}`, encodeURIComponent(input.value));
    else if (one.in === "query") query.append(one.name, input.value);
    else headers[one.name] = input.value;
  }
  const token = byId("token").value.trim();
  const namespace = byId("namespace").value.trim();
  if (token) headers.Authorization = `Bearer ${token}`;
  if (namespace && !path.includes("{ns}")) headers["Squad-Namespace"] = namespace;
  if (area) headers["Content-Type"] = mediaType;
  if (!token && method !== "get") {
    /* Signed in by a session: what changes something shows its token. */
    const session = await fetch("/auth/session", { cache: "no-store" });
    if (session.ok) headers["Squad-Csrf"] = (await session.json()).csrf;
  }
  const address = place + (query.size ? `?${query}` : "");
  const began = performance.now();
  const response = await fetch(address, {
    method: method.toUpperCase(), headers, body: area ? area.value : undefined,
    cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
  });
  const type = response.headers.get("Content-Type") || "";
  let text = /json|yaml|text|xml/.test(type)
    ? await response.text() : `${(await response.blob()).size} bytes of ${type}`;
  if (type.includes("json")) {
    try { text = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
  }
  const took = Math.round(performance.now() - began);
  return [
    make("p", {}, make("strong", { text: String(response.status) }), ` after ${took} ms, ${type}`),
    make("pre", { tabindex: "0", "aria-label": "Answer" }, text),
  ];
}

function operationNode(path, method, operation) {
  const id = operation.operationId.replace(/\W+/g, "-");
  const summary = make("summary", {},
    make("span", { class: `method ${method}`, text: method.toUpperCase() }),
    make("span", { class: "path", text: path }),
    make("span", { class: "says", text: operation.summary || "" }));
  const node = make("details", { class: "operation", id, "data-words":
    `${path} ${operation.summary} ${operation.operationId}`.toLowerCase() }, summary);
  node.addEventListener("toggle", () => {
    if (!node.open || node.querySelector(".body")) return;
    const content = operation.requestBody && followed(operation.requestBody).content;
    const schema = content && Object.values(content)[0].schema;
    const answer = answerSchema(operation);
    node.append(make("div", { class: "body" },
      ...paragraphs(operation.description),
      operation["x-effect"] ? make("p", {}, make("span", { class: "effect",
        text: `effect: ${operation["x-effect"]}` })) : null,
      operation["x-command"] ? make("p", {}, "On the command line: ",
        make("code", { text: operation["x-command"] })) : null,
      schema ? fieldTable(schema, "Input") : null,
      answer ? fieldTable(answer, "Output") : null,
      responseTable(operation),
      tryForm(path, method, operation, id)));
  });
  return node;
}

function show() {
  const { info, paths } = spec;
  byId("title").textContent = `${info.title}: REST`;
  const groups = new Map();
  let count = 0;
  for (const [path, item] of Object.entries(paths)) {
    for (const method of METHODS) {
      if (!item[method] || item[method].operationId.startsWith("describe_")) continue;
      const tag = (item[method].tags || ["more"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operationNode(path, method, item[method]));
      count += 1;
    }
  }
  byId("facts").replaceChildren(`Version ${info.version}, ${count} operations, OpenAPI ${spec.openapi}: `,
    make("a", { href: "/openapi.json", text: "JSON" }), ", ",
    make("a", { href: "/openapi.yaml", text: "YAML" }));
  byId("about").replaceChildren(...paragraphs(info.description));
  const said = new Map((spec.tags || []).map((one) => [one.name, one.description || ""]));
  for (const [tag, nodes] of [...groups].sort(([a], [b]) => (a < b ? -1 : 1))) {
    byId("groups").append(make("li", {}, make("a", { href: `#group-${tag}`, text: tag })));
    byId("operations").append(make("section", { id: `group-${tag}`, "aria-labelledby": `head-${tag}` },
      make("h2", { id: `head-${tag}`, text: tag }),
      said.get(tag) ? make("p", { class: "note", text: said.get(tag) }) : null, ...nodes));
  }
  filter();
  const named = decodeURIComponent(location.hash.slice(1));
  const target = named && byId(named);
  if (target) { target.open = true; target.scrollIntoView(); }
}

function filter() {
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const node of document.querySelectorAll("details.operation")) {
    node.hidden = !words.every((word) => node.dataset.words.includes(word));
    count += node.hidden ? 0 : 1;
  }
  for (const group of document.querySelectorAll("#operations > section")) {
    group.hidden = !group.querySelector("details.operation:not([hidden])");
  }
  byId("status").textContent = words.length ? `${count} operations` : "";
}

async function start() {
  byId("filter").addEventListener("input", filter);
  try {
    const response = await fetch("/openapi.json", { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(`status ${response.status}`);
    spec = await response.json();
    show();
  } catch (error) {
    byId("status").textContent = `The description could not be read: ${error.message}`;
  }
}

start();
