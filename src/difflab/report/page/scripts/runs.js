// A run in a dialog: the browser keeps the focus inside, Escape closes it, and the focus goes back to where it was.
function openRun(row) {
  const dialog = document.getElementById("run");
  const template = document.getElementById(`run-${row.dataset.run}`);
  const content = document.getElementById("run-content");
  row.querySelector(".open").focus();
  document.getElementById("run-title").textContent = template.dataset.name;
  content.replaceChildren(template.content.cloneNode(true));
  fill(content);
  dialog.showModal();
  dialog.scrollTop = 0;
  document.getElementById("run-title").focus();
}

function startRuns() {
  const dialog = document.getElementById("run");
  document.getElementById("runs-table")?.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-run]");
    if (row && !String(getSelection())) openRun(row);
  });
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}
