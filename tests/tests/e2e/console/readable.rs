//! The console with much to show: readable in both colour schemes and on a narrow screen, with a name for every control. What is
//! seen here becomes the screenshots of the documentation: `AI_WARP_SCREENSHOTS=docs/images cargo xtask test console`.

use std::path::PathBuf;

use ai_warp_tests::{Builder, Stack};
use serde_json::json;

use super::Console;

/// Every text and what is behind it, where their contrast is below 4.5.
const PALE: &str = r"
(() => {
  const parts = (color) => color.match(/[\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).map((part) => part / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (at) => {
    for (; at; at = at.parentElement) {
      const color = getComputedStyle(at).backgroundColor;
      if (parts(color)[3] !== 0) return color;
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = [];
  while (walker.nextNode()) {
    const at = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !at.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(at).color), light(behind(at))].sort((a, b) => b - a);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) pale.push(`${walker.currentNode.textContent.trim()} (${at.className}): ${contrast.toFixed(2)}`);
  }
  return pale;
})()";

/// Controls without a name.
const NAMELESS: &str = "[...document.querySelectorAll('input, select, textarea, button')]
  .filter((at) => !(at.labels?.[0] ?? at).textContent.trim() && !at.ariaLabel).map((at) => at.outerHTML)";

/// How wide it is; a phone would make the window wider where something stands out of it.
const WIDTH: &str = "Math.max(innerWidth, document.documentElement.scrollWidth)";

const ANSWER: &str = "Sunlight is a mix of all colours. In the air, molecules far smaller than its wavelength scatter the short, \
    blue waves about five times as much as the long, red ones (Rayleigh scattering: the strength goes with 1/wavelength to the \
    fourth). So from every part of the sky blue light reaches your eye, while the sun itself looks a little yellower than it is.";

/// Two Envoys, five models of which two fail, a route, limits.
fn much_to_show() -> Builder {
    Stack::builder()
        .envoys(2)
        .models([
            json!("openai:gpt-5-mini"),
            json!("deepseek:deepseek-chat"),
            json!({"provider": "gemini", "model": "gemini-2.5-flash", "limits": {"tokens": {"max": 50_000, "timeWindow": "1h"}}}),
            json!({"provider": "gemini", "model": "gemini-2.5-pro", "limits": {"rate": {"max": 20, "timeWindow": "1m"}}}),
            json!("openai:gpt-5"),
        ])
        .set("providers.openai.headers", json!({"x-simulator": "status=503"}))
        .set("providers.deepseek.headers", json!({"x-simulator": "status=429"}))
        .set("providers.gemini.headers", json!({"x-simulator": format!("text={ANSWER}")}))
        .set("routes", json!([{"name": "fast", "models": ["gemini:gemini-2.5-flash", "openai:gpt-5-mini"], "limits": {"rate": {"max": 500, "timeWindow": "1m"}}}]))
        .set("limits.rate", json!({"max": 200, "timeWindow": "30s"}))
        .set("breaker.failures", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_readable_light_dark_and_narrow() {
    let Some(console) = Console::closed(much_to_show()).await else { return };
    let page = &console.page;
    let images = std::env::var_os("AI_WARP_SCREENSHOTS").map(PathBuf::from);
    // Some life before anybody looks.
    for prompt in 0..12 {
        let model = if prompt % 3 == 0 { "gemini:gemini-2.5-pro" } else { "gemini:gemini-2.5-flash" };
        console.stack.prompt(json!({"prompt": "Hello.", "models": [model]})).await.answer();
    }
    page.resize(1280, 900).await;
    page.color_scheme("light").await;
    page.open(&console.url).await;
    page.wait_for("it is live", "document.querySelector('#live[data-state=live]') !== null").await;
    console.send("Why is the sky blue?").await;
    console.run("answered").await;
    assert_eq!(page.text(".answer").await, ANSWER);
    page.wait_for("two models rest", "document.querySelectorAll('#models [data-state=error]').length === 2")
        .await;
    page.evaluate("document.querySelector('.session button:last-child').click()").await;
    page.wait_for("the session is read", "document.querySelectorAll('#session-turns li').length === 1").await;
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0); document.querySelector('#gateways details').open = true").await;

    for (name, scheme, width, height) in
        [("light", "light", 1280, 900), ("dark", "dark", 1280, 900), ("narrow", "light", 360, 780)]
    {
        page.resize(width, height).await;
        page.color_scheme(scheme).await;
        assert_eq!(page.evaluate(PALE).await, json!([]), "{name}");
        assert_eq!(page.evaluate(NAMELESS).await, json!([]), "{name}");
        assert_eq!(page.evaluate(WIDTH).await, width, "{name}");
        if let Some(images) = &images {
            page.screenshot(&images.join(format!("console-{name}.png"))).await;
        }
    }
    console.expect_no_complaints();
}
