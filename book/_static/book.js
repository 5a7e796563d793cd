// The language switch keeps the reader's place; terms show their definition on hover and on focus.

/** The anchor that is being read: the one in the address while it is in view, else the section on top. */
function anchorInView() {
  const hash = decodeURIComponent(location.hash.slice(1));
  const named = hash && document.getElementById(hash)?.getBoundingClientRect().top;
  if (typeof named === "number" && named > -50 && named < innerHeight) return hash;
  const passed = [...document.querySelectorAll("article section[id] section[id]")]
    .filter((section) => section.getBoundingClientRect().top <= 100);
  return passed.length ? passed.at(-1).id : "";
}

function keepPlace() {
  const link = document.querySelector(".bn-switch");
  const page = link.getAttribute("href");
  const update = () => {
    const anchor = anchorInView();
    link.setAttribute("href", page + location.search + (anchor && "#" + anchor));
  };
  for (const event of ["pointerenter", "focus", "click"]) link.addEventListener(event, update);
}

function showDefinitions() {
  const data = document.getElementById("bn-definitions");
  if (!data) return;
  const definitions = JSON.parse(data.textContent);
  const tip = Object.assign(document.createElement("div"), { id: "bn-tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  document.body.append(tip);
  let closing, open;

  const hide = () => {
    tip.hidden = true;
    open?.removeAttribute("aria-describedby");
  };
  const hideSoon = () => { closing = setTimeout(hide, 150); };  // time to move onto the tooltip itself
  const keep = () => clearTimeout(closing);
  const show = (link, text) => {
    keep();
    hide();
    open = link;
    open.setAttribute("aria-describedby", tip.id);
    tip.textContent = text;
    tip.hidden = false;
    const box = link.getBoundingClientRect(), size = tip.getBoundingClientRect();
    const room = innerHeight - box.bottom > size.height + 16;
    const middle = box.left + box.width / 2 - size.width / 2;
    tip.style.top = (room ? box.bottom + 8 : box.top - size.height - 8) + "px";
    tip.style.left = Math.max(8, Math.min(middle, document.documentElement.clientWidth - size.width - 8)) + "px";
  };

  for (const link of document.querySelectorAll("article a:has(.std-term)")) {
    const text = definitions[decodeURIComponent(link.hash.slice(1))];
    if (!text) continue;
    link.classList.add("bn-term");
    link.addEventListener("pointerenter", () => show(link, text));
    link.addEventListener("focus", () => show(link, text));
    link.addEventListener("pointerleave", hideSoon);
    link.addEventListener("blur", hide);
  }
  tip.addEventListener("pointerenter", keep);
  tip.addEventListener("pointerleave", hideSoon);
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", hide, { passive: true });
}

document.addEventListener("DOMContentLoaded", () => { keepPlace(); showDefinitions(); });
