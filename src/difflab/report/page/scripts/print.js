// On paper everything is open, light and as wide as the paper.
const PAPER = 680;

function startPrint() {
  let opened = null;
  let scheme = "";
  addEventListener("beforeprint", () => {
    if (opened) return;
    opened = [...document.querySelectorAll("details:not([open])")];
    opened.forEach((details) => (details.open = true));
    scheme = root.style.colorScheme;
    root.style.colorScheme = "light";
    drawAll();
    redraw();
    drawn.forEach((plot) => Plots.relayout(plot, { width: PAPER }));
  });
  addEventListener("afterprint", () => {
    opened?.forEach((details) => (details.open = false));
    root.style.colorScheme = scheme;
    redraw();
    opened = null;
  });
}
