const [page] = performance.getEntriesByType("navigation");
document.getElementById("time").textContent = Math.round(page.responseEnd - page.startTime);
document.body.dataset.files = performance.getEntriesByType("resource").length;
