/** The button for the theme: as the system, light or dark. Remembered where the browser allows it. */

const THEMES = ["automatic", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const KEY = "kube-system-chaos-theme";

/** A page from a file, or in a strict browser, may have no storage: then the choice lasts as long as the page. */
function remembered(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === kept) ?? "automatic";
  } catch {
    return "automatic";
  }
}

function remember(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Nothing depends on it.
  }
}

export function themeButton(): void {
  const button = document.getElementById("theme");
  if (button === null) return;
  let theme = remembered();
  const show = (): void => {
    document.documentElement.dataset["theme"] = theme;
    button.textContent = `Theme: ${theme}`;
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "automatic";
    remember(theme);
    show();
  });
  show();
}
