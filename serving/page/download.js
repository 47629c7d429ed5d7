// Saves what a panel shows as a CSV file.
const cell = (value) => {
  const text = value == null ? "" : String(value);
  // A spreadsheet would run what begins like a formula.
  const safe = /^[=+\-@\t\r]/.test(text) && typeof value !== "number" ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

export const csv = (columns, rows) => [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";

export function save(name, columns, rows) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(columns, rows)], { type: "text/csv" }));
  link.download = `${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Each button with `data-save` saves what its panel has offered under that name.
const offers = {};
export const offer = (name, columns, rows) => { offers[name] = [columns, rows]; };
export function startDownloads() {
  for (const button of document.querySelectorAll("[data-save]"))
    button.addEventListener("click", async () => {
      const [columns, rows] = offers[button.dataset.save] || [[], []];
      save(`wetstream-${button.dataset.save}`, columns, typeof rows === "function" ? await rows() : rows);
    });
}
