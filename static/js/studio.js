/* The studio's form: examples fill it, and the address may bring a prompt along (?prompt=&language=). */

const form = document.querySelector("[data-studio]");
const prompt = form.elements.namedItem("prompt");
const language = form.elements.namedItem("language");

function fill(text, wanted) {
  prompt.value = text;
  prompt.dispatchEvent(new Event("input", { bubbles: true }));
  if ([...language.options].some((option) => option.value === wanted)) language.value = wanted;
  prompt.focus();
}

document.addEventListener("click", (event) => {
  const example = event.target.closest("[data-fill]");
  if (!example) return;
  fill(example.dataset.fill, example.dataset.fillLanguage);
  form.scrollIntoView({ block: "nearest", behavior: "smooth" });
});

const brought = new URLSearchParams(location.search);
if (brought.has("prompt") && ["", brought.get("prompt")].includes(prompt.value)) fill(brought.get("prompt"), brought.get("language"));
