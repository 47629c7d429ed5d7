// What is set on the page stands in its address, so that a reload or a colleague sees the same.
const set = new URLSearchParams(location.hash.slice(1));

export const setting = (name, otherwise = "") => set.get(name) ?? otherwise;

// Puts settings into the address; an empty one leaves it.
export function keep(values) {
  for (const [name, value] of Object.entries(values)) {
    if (value === "" || value == null) set.delete(name);
    else set.set(name, value);
  }
  history.replaceState(null, "", set.size ? `#${set}` : location.pathname + location.search);
}
