// The theme before anything is seen; what needs no library as soon as the page is there; tables, then figures.
root.classList.add("js");
restoreTheme();
addEventListener("DOMContentLoaded", () => {
  startTheme(redraw);
  startSamples();
  startRuns();
  startPrint();
  startTables()
    .then(startFigures)
    .then(() => { root.dataset.ready = "true"; })
    .catch((error) => {
      const notice = document.createElement("p");
      notice.className = "notice";
      notice.textContent = `This browser cannot draw the figures (${error.message}); the tables hold their numbers.`;
      document.getElementById("main").prepend(notice);
    });
});
