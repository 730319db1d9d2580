// Tables that are sorted by their headings, found in by text, and filtered by a column.
// Numbers first, whichever way they are sorted: a row without a figure is neither best nor worst.
const figures = {
  "figure-pre": (value) => (value === "" ? NaN : Number(value)),
  "figure-asc": (a, b) => isNaN(a) - isNaN(b) || a - b,
  "figure-desc": (a, b) => isNaN(a) - isNaN(b) || b - a,
};

async function startTables() {
  const jQuery = await dataTables();
  Object.assign(jQuery.fn.dataTable.ext.type.order, figures);
  const tables = {};
  for (const element of document.querySelectorAll("table.sortable")) {
    tables[element.id] = jQuery(element).DataTable({
      paging: false,
      info: false,
      order: [],
      autoWidth: false,
      columnDefs: [{ targets: "numeric", type: "figure" }],
      layout: { topStart: null, topEnd: null, bottomStart: null, bottomEnd: null },
    });
  }
  for (const input of document.querySelectorAll("input[data-search]")) {
    input.addEventListener("input", () => tables[input.dataset.search].search(input.value).draw());
  }
  for (const select of document.querySelectorAll("select[data-filter]")) {
    select.addEventListener("change", () => {
      const table = tables[select.dataset.filter];
      const has = (row) => JSON.parse(table.row(row).node().dataset.levels)[select.dataset.level] === select.value;
      table.search.fixed(`level-${select.dataset.level}`, select.value === "" ? null : (_text, _data, row) => has(row));
      table.draw();
    });
  }
  for (const count of document.querySelectorAll("[data-count]")) {
    const table = tables[count.dataset.count];
    const tell = () => {
      const { recordsDisplay, recordsTotal } = table.page.info();
      count.textContent = recordsDisplay === recordsTotal ? "" : `${recordsDisplay} of ${recordsTotal} shown`;
    };
    table.on("draw", tell);
    tell();
  }
}
