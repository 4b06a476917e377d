"use strict";
const api = JSON.parse(document.getElementById("document").textContent);
const METHODS = ["get", "post", "put", "patch", "delete"];
const at = (id) => document.getElementById(id);

// Everything is made of nodes and text: nothing in the document can become markup.
function make(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  for (const child of children.flat()) if (child != null && child !== "") node.append(child);
  return node;
}

// `code` in backticks is the one thing that descriptions mark.
const words = (text) => (text || "").split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
const paragraphs = (text) => (text || "").split("\n\n").filter(Boolean).map((part) => make("p", {}, words(part)));
const last = (ref) => ref.split("/").pop();
const follow = (thing) =>
  thing && thing.$ref ? thing.$ref.slice(2).split("/").reduce((found, part) => found[part], api) : thing;

function kind(schema) {
  if (schema === true) return "anything";
  if (schema.$ref) return last(schema.$ref);
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((word) => JSON.stringify(word)).join(" | ");
  const choices = schema.oneOf || schema.anyOf;
  if (choices && !schema.properties) return choices.map(kind).join(" | ");
  const types = [].concat(schema.type || (schema.properties ? "object" : "anything"));
  return types.map((type) => {
    if (type === "array") {
      const items = schema.prefixItems ? schema.prefixItems.map(kind).join(", ") : kind(schema.items || true);
      return "[" + items + "]";
    }
    const values = schema.additionalProperties;
    if (type === "object" && values && typeof values === "object") return "map of " + kind(values);
    return type;
  }).join(" | ");
}

function bounds(schema) {
  const told = [];
  const say = (name, text) => {
    const value = schema[name];
    // Zero and the largest number of a type bound nothing that a reader would try; a script cannot hold the latter.
    if (value === undefined || value === 0 || value > Number.MAX_SAFE_INTEGER) return;
    told.push(text + (typeof value === "object" ? JSON.stringify(value) : value));
  };
  say("minimum", "from "); say("maximum", "to "); say("minLength", "length from "); say("maxLength", "length to ");
  say("minItems", "items from "); say("maxItems", "items to "); say("pattern", "pattern "); say("default", "default ");
  return told.join(", ");
}

// The parts of a schema that have fields of their own, each once on the way down.
function fields(schema, seen) {
  if (!schema || schema === true) return [];
  const parts = [];
  if (schema.$ref) {
    if (seen.includes(schema.$ref)) return [];
    parts.push(...fields(follow(schema), [...seen, schema.$ref]));
  }
  if (schema.properties) {
    const list = make("ul", { class: "fields" });
    for (const [name, field] of Object.entries(schema.properties)) {
      const required = (schema.required || []).includes(name);
      const detail = [kind(field), required ? "" : "optional", bounds(field)].filter(Boolean).join(", ");
      const described = field.description || (field.$ref ? follow(field).description : "");
      list.append(make("li", {}, make("code", {}, name), " ", make("span", { class: "dim" }, detail),
        described ? make("div", {}, words(described)) : "", fields(field, seen)));
    }
    parts.push(list);
  }
  const choices = (schema.oneOf || schema.anyOf || []).filter((choice) => choice.type !== "null");
  choices.forEach((choice) => {
    const inner = fields(choice, seen);
    if (choices.length === 1) return parts.push(...inner);
    const named = choice.description || (choice.$ref ? follow(choice).description : "");
    if (inner.length) {
      parts.push(make("p", { class: "dim" }, "one of: ", kind(choice)), ...(named ? paragraphs(named) : []), ...inner);
    } else if (named) {
      parts.push(make("p", { class: "dim" }, kind(choice), ": ", words(named)));
    }
  });
  for (const part of schema.allOf || []) parts.push(...fields(part, seen));
  if (schema.items) parts.push(...fields(schema.items, seen));
  if (typeof schema.additionalProperties === "object") parts.push(...fields(schema.additionalProperties, seen));
  return parts;
}

function table(heads, rows) {
  const cell = (content) => make("td", {}, content);
  return make("div", { class: "scroll" }, make("table", {},
    make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, row.map(cell))))));
}

function content(parts) {
  const media = Object.keys(parts || {});
  if (!media.length) return [];
  const { schema, example } = parts[media[0]];
  const shown = [make("p", {}, media.flatMap((name, at) => [at ? ", " : "", make("code", {}, name)]), " ",
    make("span", { class: "dim" }, kind(schema)))];
  shown.push(...fields(schema, []));
  if (example !== undefined) {
    const text = typeof example === "string" ? example : JSON.stringify(example, null, 2);
    shown.push(make("p", { class: "dim" }, "Example"), make("pre", { tabindex: "0" }, make("code", {}, text)));
  }
  return shown;
}

function roles(operation) {
  const named = operation.security.flatMap((one) => (one.key ? one.key : "participant" in one ? ["participants"] : []));
  return named.length ? named.join(", ") : "needs no key";
}

function inside(operation) {
  const parts = [...paragraphs(operation.description)];
  parts.push(make("p", {}, make("strong", {}, "Who may: "), roles(operation)));
  const parameters = (operation.parameters || []).map(follow);
  if (parameters.length) {
    parts.push(make("h3", {}, "Parameters"), table(["Name", "In", "Type", "Meaning"], parameters.map((one) => [
      [make("code", {}, one.name), one.required ? "" : " (optional)"], one.in,
      [kind(one.schema), bounds(one.schema) ? ", " + bounds(one.schema) : ""], words(one.description),
    ])));
  }
  if (operation.requestBody) parts.push(make("h3", {}, "Body"), ...content(operation.requestBody.content));
  const problems = [];
  for (const [status, referred] of Object.entries(operation.responses)) {
    const response = follow(referred);
    const problem = (response.content || {})["application/problem+json"];
    if (problem) {
      for (const code of problem.schema.properties.code.enum) problems.push([status, code]);
      continue;
    }
    parts.push(make("h3", {}, "Answer " + status), ...paragraphs(response.description), ...content(response.content));
    const headers = Object.entries(response.headers || {}).map(([name, header]) =>
      [make("code", {}, name), words(follow(header).description)]);
    if (headers.length) parts.push(make("p", { class: "dim" }, "Headers"), table(["Name", "Meaning"], headers));
  }
  if (problems.length) {
    parts.push(make("h3", {}, "Problems"), table(["Status", "Code", "Meaning", "What to do"],
      problems.map(([status, code]) => {
        const known = api["x-codes"][code] || {};
        return [status, make("code", {}, code), words(known.meaning), words(known.remedy)];
      })));
  }
  return make("div", { class: "inside" }, parts);
}

const routes = [];
function route(path, method, operation) {
  const summary = make("summary", {}, make("span", { class: "method " + method }, method.toUpperCase()),
    make("span", { class: "path" }, path), make("span", {}, operation.summary));
  const block = make("details", { id: operation.operationId }, summary);
  // Most blocks are never opened: what is in one is made when it is.
  block.addEventListener("toggle", () => { if (block.open && block.children.length === 1) block.append(inside(operation)); });
  const codes = Object.values(operation.responses).map(follow).flatMap((response) => {
    const problem = (response.content || {})["application/problem+json"];
    return problem ? problem.schema.properties.code.enum : [];
  });
  const parameters = (operation.parameters || []).map((one) => follow(one).name);
  const text = [method, path, operation.operationId, operation.summary, operation.description, operation.tags,
    roles(operation), codes, parameters].flat().join(" ").toLowerCase();
  routes.push({ block, text });
  return block;
}

at("version").textContent = api.info.version + ", OpenAPI " + api.openapi;
at("about").append(...paragraphs(api.info.description), make("p", {}, "The document itself: ",
  make("a", { href: "/api/v1/openapi.json" }, "/api/v1/openapi.json")));
const sections = api.tags.map((tag) => {
  const name = "tag-" + tag.name.toLowerCase().replaceAll(" ", "-");
  const section = make("section", { "aria-labelledby": name }, make("h2", { id: name }, tag.name),
    ...paragraphs(tag.description));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const method of METHODS) {
      const operation = methods[method];
      if (operation && operation.tags[0] === tag.name) section.append(route(path, method, operation));
    }
  }
  const link = make("a", { href: "#" + name }, tag.name);
  at("tags").append(link);
  return { section, link };
});
at("routes").append(...sections.map(({ section }) => section));

function search() {
  const asked = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const { block, text } of routes) {
    block.hidden = !asked.every((word) => text.includes(word));
    shown += block.hidden ? 0 : 1;
  }
  for (const { section, link } of sections) {
    section.hidden = link.hidden = !section.querySelector("details:not([hidden])");
  }
  at("count").textContent = shown + " of " + routes.length;
}
at("search").addEventListener("input", search);
search();

let open = false;
at("toggle").addEventListener("click", () => {
  open = !open;
  for (const { block } of routes) if (!block.hidden) block.open = open;
  at("toggle").textContent = open ? "Close all" : "Open all";
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== at("search")) { event.preventDefault(); at("search").focus(); }
});
function reveal() {
  const target = location.hash && at(location.hash.slice(1));
  if (target && target.tagName === "DETAILS") { target.open = true; target.scrollIntoView(); }
}
addEventListener("hashchange", reveal);
reveal();
