// The libraries lie in the page as base64 of gzip; the browser unpacks them into blobs of its own.
async function unpacked(name) {
  const text = document.getElementById(`library-${name}`).textContent;
  const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const content = await new Response(stream).arrayBuffer();
  return URL.createObjectURL(new Blob([content], { type: "text/javascript" }));
}

async function plotly() {
  const url = await unpacked("plotly");
  await new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = done;
    script.onerror = () => failed(new Error("plotly could not be loaded"));
    document.head.append(script);
  });
  URL.revokeObjectURL(url);
  return window.Plotly;
}

async function dataTables() {
  const url = await unpacked("tables");
  const { jQuery } = await import(url);
  URL.revokeObjectURL(url);
  return jQuery;
}
