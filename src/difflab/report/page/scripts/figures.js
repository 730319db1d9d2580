// Figures: the page holds them without colours; they are drawn when they come near, in the colours of the theme.
const drawn = new Set();
const hiddenVariants = new Set();
let Plots = null;

function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function theme() {
  const palette = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => colour(`c${i}`));
  return { palette, ink: colour("ink"), soft: colour("soft"), line: colour("line"), page: colour("page") };
}

const faded = (rgb, share) => rgb.replace(/^rgb\((.*)\)$/, `rgba($1, ${share})`);

function painted(trace, look) {
  const of = (i) => (i < 0 ? look.soft : look.palette[i]);
  const { colour: index, variant, pale } = trace.meta;
  const whole = Array.isArray(index) ? index.map(of) : of(index);
  const paint = pale ? whole.map((each) => faded(each, 0.55)) : whole;
  const marker = { ...trace.marker, color: paint, line: { ...trace.marker?.line, color: paint } };
  const error = { color: Array.isArray(index) ? look.soft : whole };
  return {
    ...trace,
    marker,
    line: Array.isArray(index) ? trace.line : { ...trace.line, color: whole },
    fillcolor: trace.fill ? faded(whole, 0.16) : undefined,
    error_x: trace.error_x ? { ...trace.error_x, ...error } : undefined,
    error_y: trace.error_y ? { ...trace.error_y, ...error } : undefined,
    visible: !hiddenVariants.has(variant),
  };
}

function arranged(layout, look, wide) {
  const lines = { gridcolor: look.line, linecolor: look.line, zerolinecolor: look.line, tickcolor: look.line };
  return {
    ...layout,
    template: undefined,
    showlegend: false,
    dragmode: matchMedia("(pointer: fine)").matches ? "zoom" : false,
    hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 58, r: 14, t: 8, b: layout.xaxis.title?.text ? 52 : 30 },
    font: { color: look.ink, size: wide ? 13 : 12, family: getComputedStyle(document.body).fontFamily },
    hoverlabel: { bgcolor: look.page, bordercolor: look.line, font: { color: look.ink }, align: "left" },
    xaxis: { automargin: true, ...lines, ...layout.xaxis },
    yaxis: { automargin: true, ...lines, ...layout.yaxis },
  };
}

function draw(plot) {
  const name = plot.dataset.chart;
  plot.figures ??= JSON.parse(document.getElementById(`figures-${name}`).textContent);
  const selects = [...document.querySelectorAll(`select[data-of="${name}"]`)];
  const figure = plot.figures[selects.map((select) => select.value).join("|")];
  const look = theme();
  const traces = figure.data.map((trace) => painted(trace, look));
  const layout = arranged(figure.layout, look, plot.clientWidth > 500);
  Plots.react(plot, traces, layout, { responsive: true, displayModeBar: false });
  plot.style.minHeight = "";
  plot.previousElementSibling.textContent = figure.layout.meta.label;
  plot.dataset.about ??= plot.getAttribute("aria-label");
  const chosen = selects.map((select) => select.selectedOptions[0].text).join(" against ");
  plot.setAttribute("aria-label", chosen ? `${plot.dataset.about}: ${chosen}` : plot.dataset.about);
  drawn.add(plot);
}

function redraw() {
  drawn.forEach(draw);
}

function drawAll() {
  if (Plots) document.querySelectorAll(".plot").forEach((plot) => drawn.has(plot) || draw(plot));
}

// Variants are shown or hidden in all figures of lines at once.
function show(isShown) {
  for (const entry of document.querySelectorAll(".entry[data-variant]")) {
    const variant = Number(entry.dataset.variant);
    const shown = isShown(variant);
    hiddenVariants[shown ? "delete" : "add"](variant);
    entry.setAttribute("aria-pressed", String(shown));
  }
  redraw();
}

function startLegends() {
  const first = new Set(JSON.parse(document.getElementById("main").dataset.first));
  const groups = { all: () => true, none: () => false, first: (variant) => first.has(variant) };
  show(groups.first);
  for (const entry of document.querySelectorAll(".entry[data-variant]")) {
    const own = Number(entry.dataset.variant);
    const flip = (variant) => (variant === own) === hiddenVariants.has(variant);
    entry.addEventListener("click", () => show(flip));
  }
  for (const entry of document.querySelectorAll(".entry[data-show]")) {
    entry.addEventListener("click", () => show(groups[entry.dataset.show]));
  }
}

async function startFigures() {
  startLegends();
  Plots = await plotly();
  const near = new IntersectionObserver(
    (entries) => entries.forEach((entry) => entry.isIntersecting && !drawn.has(entry.target) && draw(entry.target)),
    { rootMargin: "400px" },
  );
  document.querySelectorAll(".plot").forEach((plot) => near.observe(plot));
  for (const select of document.querySelectorAll("select[data-of]")) {
    const plot = document.querySelector(`.plot[data-chart="${select.dataset.of}"]`);
    select.addEventListener("change", () => draw(plot));
  }
}
