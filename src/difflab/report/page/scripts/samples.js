// Pictures lie in the page once each; elements that show them name them.
let pictures = null;

function fill(place) {
  pictures ??= JSON.parse(document.getElementById("pictures").textContent);
  for (const image of place.querySelectorAll("img[data-picture]:not([hidden])")) {
    if (!image.src) image.src = pictures[image.dataset.picture];
  }
}

function startSamples() {
  const seed = document.getElementById("samples-seed");
  const step = document.getElementById("samples-step");
  if (!seed) return;
  const choose = () => {
    for (const shots of document.querySelectorAll(".shots")) {
      let any = false;
      for (const image of shots.querySelectorAll("img")) {
        const fits = step.value === "last" ? "last" in image.dataset : image.dataset.step === step.value;
        image.hidden = !(fits && image.dataset.seed === seed.value);
        any ||= !image.hidden;
      }
      shots.querySelector(".none").hidden = any;
      fill(shots);
    }
  };
  seed.addEventListener("change", choose);
  step.addEventListener("change", choose);
  choose();
}
