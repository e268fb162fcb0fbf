"use strict";
(() => {
  const bar = document.getElementById("filters");
  if (!bar) return;
  const rows = [...document.querySelectorAll("#findings tbody tr")];
  const dots = [...document.querySelectorAll("circle.dot")];
  const contains = document.getElementById("contains");
  const shown = document.getElementById("shown");
  const ticked = (kind) =>
    new Set([...bar.querySelectorAll(`input[data-kind=${kind}]:checked`)].map((box) => box.value));
  const apply = () => {
    const severities = ticked("severity");
    const detectors = ticked("detector");
    const wanted = contains.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      const fits =
        severities.has(row.dataset.severity) &&
        detectors.has(row.dataset.detector) &&
        (!wanted || row.textContent.toLowerCase().includes(wanted));
      row.hidden = !fits;
      count += fits;
    }
    for (const dot of dots) {
      const fits =
        severities.has(dot.dataset.severity) &&
        dot.dataset.detector.split(" ").some((name) => detectors.has(name));
      dot.classList.toggle("off", !fits);
    }
    shown.textContent = `${count} of ${rows.length} shown`;
  };
  bar.addEventListener("input", apply);
  bar.hidden = false;
  apply();
})();
