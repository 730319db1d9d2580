// Light or dark: as the system says until the reader says otherwise. Storage may be denied to a file.
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

function stored(value) {
  try {
    if (value !== undefined) localStorage.setItem("difflab-theme", value);
    return localStorage.getItem("difflab-theme");
  } catch {
    return null;
  }
}

function dark() {
  return root.style.colorScheme ? root.style.colorScheme === "dark" : system.matches;
}

function restoreTheme() {
  const saved = stored();
  if (saved === "dark" || saved === "light") root.style.colorScheme = saved;
}

function startTheme(changed) {
  const button = document.getElementById("theme");
  const told = () => button.setAttribute("aria-pressed", String(dark()));
  button.addEventListener("click", () => {
    root.style.colorScheme = dark() ? "light" : "dark";
    stored(root.style.colorScheme);
    told();
    changed();
  });
  system.addEventListener("change", () => { told(); changed(); });
  told();
}
