// Requests to the server, with the token if it requires one, and its events.
let token = sessionStorage.getItem("wetstream-token") || "";
let asking = null;

// The address of the page says which pipeline it shows: / or /pipelines/NAME/.
export const base = location.pathname.match(/^\/pipelines\/[^/]+(?=\/)/)?.[0] ?? "";

function askToken() {
  asking ??= new Promise((done) => {
    const dialog = document.getElementById("ask-token");
    document.getElementById("token-wrong").hidden = !token;
    dialog.showModal();
    dialog.addEventListener("close", () => {
      token = document.getElementById("token").value;
      sessionStorage.setItem("wetstream-token", token);
      asking = null;
      done();
    }, { once: true });
  });
  return asking;
}

async function request(path, options = {}) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const response = await fetch(base + path, { ...options, headers });
  if (response.status !== 401) return response;
  await askToken();
  return request(path, options);
}

// Returns the answer as an object. Throws an Error with the server's message.
export async function get(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== "" && one != null) query.append(name, one);
  }
  const response = await request(`/api/v1/${path}${query.size ? `?${query}` : ""}`);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.message || response.statusText), { status: response.status });
  return answer;
}

// Calls onState for each event and onLost when the connection ends; reconnects by itself, without end.
export async function listen(onState, onLost) {
  for (let wait = 500; ; wait = Math.min(wait * 1.6, 5000)) {
    const stop = new AbortController();
    let silence;
    try {
      const response = await request("/api/v1/events", { signal: stop.signal });
      if (!response.ok) throw new Error((await response.json()).message);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        // The server sends something every 10 s; a connection that is silent for longer is dead.
        clearTimeout(silence);
        silence = setTimeout(() => stop.abort(), 25_000);
        const { value, done } = await reader.read();
        if (done) break;
        const events = (text + value).split("\n\n");
        text = events.pop();
        for (const event of events) {
          const data = event.split("\n").find((line) => line.startsWith("data: "));
          if (data) { onState(JSON.parse(data.slice(6))); wait = 500; }
        }
      }
      onLost("");
    } catch (error) {
      // A browser's own words for an unreachable server (a TypeError, or our timeout) mean nothing to a reader.
      onLost(error instanceof TypeError || error.name === "AbortError" ? "" : error.message);
    } finally {
      clearTimeout(silence);
    }
    await new Promise((go) => setTimeout(go, wait));
  }
}
