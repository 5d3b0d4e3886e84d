// Only the fields of the chosen type are shown.
const type = document.getElementById('type');
function show() {
  for (const set of document.querySelectorAll('fieldset[data-for]')) set.hidden = set.dataset.for !== type.value;
}
type.addEventListener('change', show);
show();
