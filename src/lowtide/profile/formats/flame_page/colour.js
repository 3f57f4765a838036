// Colours. Warm by module: the program's own code is vivid, other packages softer, the standard library sand.
// In a diff colour is direction instead: ember for growth, blue for shrinkage, told apart by colour-blind eyes too.

const systemDark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : systemDark.matches;
}

const DARK_INK = "#23160d", LIGHT_INK = "#f1e6dc";

// Lightness, chroma, hue in OKLCH; flame.py hands out the slots.
const SWATCHES = [
  [0.72, 0.17, 44], [0.83, 0.15, 76], [0.71, 0.15, 22], [0.87, 0.125, 85], [0.63, 0.14, 34], [0.83, 0.1, 58],
  [0.7, 0.13, 4], [0.73, 0.12, 72], [0.8, 0.09, 28], [0.66, 0.11, 55], [0.77, 0.15, 62], [0.65, 0.11, 350],
];

function groupColour([, kind, slot], shade = 0) {
  const [lightness, chroma, hue] = SWATCHES[slot];
  const dark = isDark();
  const [l, c, h] = {
    app: [dark ? lightness - 0.04 : lightness, chroma, hue],
    package: dark ? [lightness * 0.5 + 0.265, chroma * 0.82, hue] : [lightness * 0.5 + 0.455, chroma * 0.78, hue],
    stdlib: [(dark ? 0.33 : 0.85) + (slot % 4) * 0.02, dark ? 0.024 : 0.036, 48 + slot * 4],
    root: [dark ? 0.28 : 0.94, 0.01, 60],
  }[kind];
  return { fill: `oklch(${(l + shade).toFixed(3)} ${c.toFixed(3)} ${h})`, ink: l < 0.55 ? LIGHT_INK : DARK_INK };
}

function diffColour(ratio) {
  const strength = Math.min(1, Math.abs(ratio)) ** 0.7;
  const lightness = isDark() ? 0.36 + 0.32 * strength : 0.92 - 0.18 * strength;
  const fill = `oklch(${lightness.toFixed(3)} ${(0.012 + 0.14 * strength).toFixed(3)} ${ratio < 0 ? 245 : 45})`;
  return { fill, ink: lightness < 0.57 ? LIGHT_INK : DARK_INK };
}

// Neighbours of one module stay apart by a shade that hangs on the name alone, so that it is the same in every profile.
function shadeOf(text) {
  let hash = 7;
  for (let index = 0; index < text.length; index++) hash = (hash * 31 + text.charCodeAt(index)) | 0;
  return ((hash >>> 8) % 9 - 4) * 0.007;
}

const matchColour = () => ({ fill: isDark() ? "oklch(0.74 0.14 300)" : "oklch(0.78 0.13 300)", ink: DARK_INK });
const restColour = () => isDark() ? "oklch(0.3 0.01 60)" : "oklch(0.93 0.01 70)";
