"use strict";
// The contact dialect as a visitor with a session speaks it (contact 3–5, 9.1): a reload shows the
// history again, and what was not acknowledged is repeated under its id, which counts once. What
// comes from the other side is only ever shown as text nodes.

const RECONNECT_S = 5; // contact 7
const PING_S = 25; // contact 7
const MAX_SHOWN = 500;
const TOKEN_KEY = "trunkline-session"; // the visitor's secret (contact 9.1)
const TEXTS = {
  zh: {
    title: "和主人聊聊", input: "消息", send: "发送", keys: "Enter 发送，Shift + Enter 换行",
    request: "请主人联系我", placeholder: "输入消息…", log: "对话", switchTo: "Switch to English",
    hint: "你好！发一条消息试试，回答由规则给出；主人也能看到。",
    connecting: "连接中", connected: "已连接", reconnecting: "重连中，{n} 秒后", failed: "没有可用的聊天线路",
    waiting: "等待连接", sending: "发送中", received: "已送达", unclear: "不确定是否送达", again: "重发",
    refused: "未送达", requested: "已转告主人", later: "请 {n} 秒后再试",
    assistant: "自动回复", operator: "主人", system: "通知",
    first: "先写下想说的话，再请主人联系你。", joined: "{n} 接手了对话", left: "自动回复继续",
  },
  en: {
    title: "Talk to the owner", input: "Message", send: "Send", keys: "Enter sends, Shift + Enter starts a line",
    request: "Ask the owner to reply", placeholder: "Write a message…", log: "Conversation", switchTo: "切换到中文",
    hint: "Hello! Send a message to try it. Rules answer; the owner sees it too.",
    connecting: "Connecting", connected: "Connected", reconnecting: "Reconnecting in {n} s", failed: "No chat line is configured",
    waiting: "Waiting for the connection", sending: "Sending", received: "Delivered", unclear: "May not have arrived", again: "Send again",
    refused: "Not delivered", requested: "The owner has been told", later: "try again in {n} s",
    assistant: "Automatic answer", operator: "Owner", system: "Notice",
    first: "Write what it is about first, then ask the owner to reply.", joined: "{n} has joined", left: "Automatic answers go on",
  },
};

const byId = (id) => document.getElementById(id);
const log = byId("log"), input = byId("input"), stateLine = byId("state");
let language = (navigator.language || "zh").toLowerCase().startsWith("zh") ? "zh" : "en";
let socket = null, pingTimer = 0, countdown = 0, state = "connecting", secondsLeft = 0;
let nextNumber = 0, address = "", token = "";
const pending = []; // own messages without an acknowledgement, oldest first
const shown = new Set(); // ids of messages that stand in the log

const say = (key, n) => TEXTS[language][key].replace("{n}", () => String(n));

// A browser may keep nothing for a page: then a reload begins a new session.
function recall() {
  try { token = localStorage.getItem(TOKEN_KEY) || ""; } catch { token = ""; }
}

function remember(secret) {
  token = secret;
  try { localStorage.setItem(TOKEN_KEY, secret); } catch { /* until the page is closed */ }
}

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const part of document.querySelectorAll("[data-text]")) part.textContent = say(part.dataset.text);
  log.setAttribute("aria-label", say("log"));
  input.placeholder = say("placeholder");
  const button = byId("language");
  button.textContent = language === "zh" ? "EN" : "中";
  button.lang = language === "zh" ? "en" : "zh-CN";
  button.setAttribute("aria-label", say("switchTo"));
  for (const meta of log.querySelectorAll("[data-mark]")) showMark(meta, meta.dataset.mark);
  for (const meta of log.querySelectorAll("[data-sender]")) showSender(meta);
  showState(state);
}

function showState(name) {
  state = name;
  stateLine.dataset.state = name;
  byId("state-text").textContent = say(name, secondsLeft);
  const closed = name === "failed";
  byId("send").disabled = closed;
  byId("request").disabled = closed;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function add(node) {
  const near = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
  log.append(node);
  while (log.children.length > MAX_SHOWN) log.firstElementChild.remove();
  if (near || node.classList.contains("mine")) log.scrollTop = log.scrollHeight;
}

function clock(stamp) {
  const when = stamp ? new Date(stamp) : new Date();
  return (Number.isNaN(when.getTime()) ? new Date() : when).toLocaleTimeString(language === "zh" ? "zh-CN" : "en-GB", { hour: "2-digit", minute: "2-digit" });
}

function showMark(meta, mark) {
  meta.dataset.mark = mark;
  meta.classList.toggle("bad", mark === "refused" || mark === "unclear");
  const tick = mark === "received" || mark === "requested" ? "✔ " : "";
  meta.firstChild.textContent = `${meta.dataset.at} ${tick}${say(mark)}`;
}

function showSender(meta) {
  meta.textContent = `${say(meta.dataset.sender)} ${meta.dataset.at}`;
}

function showMessage(side, text, show, stamp) {
  const box = element("div", `message ${side}`);
  const meta = element("span", "meta", " ");
  meta.dataset.at = clock(stamp);
  show(meta); // before it is added: its height counts for the scrolling
  box.append(element("div", "bubble", text), meta);
  add(box);
  return { box, meta };
}

function note(text, isBad) {
  add(element("p", isBad ? "note bad" : "note", text));
}

// -- what we say ---------------------------------------------------------------------------

function compose(type, text) {
  nextNumber += 1;
  const { box, meta } = showMessage("mine", text, (made) => showMark(made, "waiting"));
  if (type === "contact_request") box.classList.add("request");
  const own = { type, text, meta, ident: `p-${Date.now().toString(36)}-${nextNumber}`, isSent: false };
  pending.push(own);
  transmit(own);
}

function transmit(own) {
  if (!socket || socket.readyState !== WebSocket.OPEN || state !== "connected") return;
  const frame = { type: own.type, message: own.text, timestamp: new Date().toISOString() };
  if (own.type === "chat_message") frame.client_message_id = own.ident;
  else frame.userAgent = navigator.userAgent || "unknown";
  socket.send(JSON.stringify(frame));
  own.isSent = true;
  showMark(own.meta, "sending");
}

// Returns whether it was one of ours that waited.
function settle(type, ident, mark) {
  const found = pending.findIndex((own) => own.type === type && own.isSent && (!ident || own.ident === ident));
  if (found < 0) return false;
  const [own] = pending.splice(found, 1);
  showMark(own.meta, mark);
  return true;
}

// -- what we hear --------------------------------------------------------------------------

// Notes that a message stands in the log; false when it stood there before.
function isNew(ident) {
  if (!ident) return true;
  if (shown.has(ident)) return false;
  shown.add(ident);
  return true;
}

function greet(frame) {
  if (frame.session_token) remember(String(frame.session_token));
  if (frame.resumed !== true) {
    // Another session than the one they were sent to: nobody can know whether these arrived.
    for (let index = pending.length - 1; index >= 0; index -= 1) {
      if (pending[index].isSent) offerAgain(pending.splice(index, 1)[0]);
    }
  }
  showState("connected");
  // The last 50 messages follow as `history`; those that stand in the log are passed over.
  for (const own of pending.slice()) {
    if (own.type === "chat_message" || !own.isSent) transmit(own);
    else offerAgain(pending.splice(pending.indexOf(own), 1)[0]); // requests have no id
  }
}

function hearMessage(frame) {
  if (!isNew(frame.message_id)) return;
  const text = String(frame.message ?? "");
  if (frame.sender !== "user") {
    showMessage("theirs", text, (made) => {
      made.dataset.sender = ["operator", "system"].includes(frame.sender) ? frame.sender : "assistant";
      showSender(made);
    }, frame.timestamp);
    return;
  }
  // Our own words: from before the reload, or from another tab.
  const isRequest = frame.kind === "contact_request";
  if (frame.client_message_id && settle("chat_message", frame.client_message_id, "received")) return;
  const mark = isRequest ? "requested" : "received";
  const { box } = showMessage("mine", text, (made) => showMark(made, mark), frame.timestamp);
  if (isRequest) box.classList.add("request");
}

function hear(frame) {
  switch (frame.type) {
    case "connection_established":
      greet(frame);
      break;
    case "history":
      for (const item of Array.isArray(frame.messages) ? frame.messages : []) hearMessage(item);
      break;
    case "chat_message_received":
      settle("chat_message", frame.client_message_id, "received");
      isNew(frame.message_id);
      break;
    case "contact_request_received":
      settle("contact_request", "", "requested");
      isNew(frame.request_id);
      break;
    case "chat_message":
      hearMessage(frame);
      break;
    case "operator_joined":
      note(say("joined", String(frame.name || say("operator"))), false);
      break;
    case "operator_left":
      note(say("left"), false);
      break;
    case "error":
      settle("chat_message", frame.client_message_id, "refused");
      note(String(frame.message ?? "") + (frame.retry_after ? ` (${say("later", Math.ceil(frame.retry_after))})` : ""), true);
      break;
    default: // pong, and types of a newer server
  }
}

// -- the connection ------------------------------------------------------------------------

function connect() {
  clearInterval(countdown);
  showState("connecting");
  const query = new URLSearchParams({ v: "2" });
  if (token) query.set("session", token);
  socket = new WebSocket(`${address}?${query}`);
  const mine = socket;
  mine.onmessage = (event) => {
    let frame = null;
    try { frame = JSON.parse(event.data); } catch { return; }
    if (frame && typeof frame === "object") hear(frame);
  };
  mine.onclose = () => { if (mine === socket) lost(); };
  clearInterval(pingTimer);
  pingTimer = setInterval(() => {
    if (mine.readyState === WebSocket.OPEN) mine.send('{"type":"ping"}');
  }, PING_S * 1000);
}

function lost() {
  clearInterval(pingTimer);
  for (const own of pending) showMark(own.meta, "waiting");
  secondsLeft = RECONNECT_S;
  showState("reconnecting");
  clearInterval(countdown);
  countdown = setInterval(() => {
    secondsLeft -= 1;
    if (secondsLeft <= 0) connect();
    else showState("reconnecting");
  }, 1000);
}

function offerAgain(own) {
  showMark(own.meta, "unclear");
  const button = element("button", "link", say("again"));
  button.type = "button";
  button.dataset.text = "again";
  button.addEventListener("click", () => { button.remove(); compose(own.type, own.text); input.focus(); });
  own.meta.append(" ", button);
}

// -- the page ------------------------------------------------------------------------------

function submit(type) {
  const text = input.value.trim();
  if (!text) {
    if (type === "contact_request") note(say("first"), false);
    input.focus();
    return;
  }
  input.value = "";
  grow();
  compose(type, text);
  input.focus();
}

function grow() {
  input.style.height = "auto";
  input.style.height = `${Math.min(input.scrollHeight + 2, 160)}px`;
}

input.addEventListener("input", grow);
input.addEventListener("keydown", (event) => {
  // Enter also ends the choice of an input method: that one must not send (ux 19.3).
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  submit("chat_message");
});
byId("composer").addEventListener("submit", (event) => { event.preventDefault(); submit("chat_message"); });
byId("request").addEventListener("click", () => submit("contact_request"));
byId("language").addEventListener("click", () => { language = language === "zh" ? "en" : "zh"; translate(); });

async function start() {
  translate();
  recall();
  let path = "";
  try {
    const answer = await fetch(document.body.dataset.settings, { cache: "no-store" });
    path = answer.ok ? (await answer.json()).path : "";
  } catch { path = "/contact"; }
  if (!path) { showState("failed"); return; }
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  address = path.startsWith("/") ? `${scheme}//${location.host}${path}` : path;
  connect();
}

start();
