#include "client/output/html_page.h"

#include "proto/cc/text.h"

namespace attune::client {
namespace {

// Without '<', '>' and '&', which the page's text form would escape.
constexpr std::string_view kPageStyle = R"css(
:root {
  color-scheme: light dark;
  --paper: #ffffff; --back: #f4f5f7; --ink: #1a1f27; --soft: #59626f;
  --line: #e1e5ea; --rule: #a9b1bc; --track: #e8ebef;
  --blue: #1d5fd1; --amber: #b35900; --green: #1a7a41; --red: #c4302b;
  --grey: #6b7480;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #181b20; --back: #101215; --ink: #e7eaee; --soft: #9ba5b2;
    --line: #2b3038; --rule: #59626f; --track: #2b3038;
    --blue: #7aa9ff; --amber: #f0a64d; --green: #5ecb8b; --red: #ff8079;
    --grey: #8b95a2;
  }
}
.blue { --tone: var(--blue); } .amber { --tone: var(--amber); }
.green { --tone: var(--green); } .red { --tone: var(--red); }
.grey { --tone: var(--grey); }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
    "DejaVu Sans", sans-serif;
  print-color-adjust: exact; -webkit-print-color-adjust: exact;
}
main { max-width: 1100px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 12px; }
h3 { font-size: 15px; margin: 20px 0 8px; }
.columns h3:first-child { margin-top: 0; }
p { margin: 0 0 12px; }
.soft, .over { color: var(--soft); }
.over { margin: 0 0 2px; font-size: 13px; letter-spacing: .04em; }
.note { color: var(--soft); font-size: 13px; margin: 10px 0 0; }
small { color: var(--soft); font-size: 12px; display: block; }
section, .verdict {
  background: var(--paper); border: 1px solid var(--line);
  border-radius: 10px; padding: 20px; margin-top: 18px;
}
.verdict { border-left: 5px solid var(--tone); font-size: 16px; }
.verdict p { margin: 0; }
.tiles {
  display: grid; gap: 12px; margin-top: 18px;
  grid-template-columns: repeat(auto-fit, minmax(150px, 1fr));
}
.tile {
  background: var(--paper); border: 1px solid var(--line);
  border-radius: 10px; padding: 14px 16px;
}
.tile b { display: block; font-size: 22px; line-height: 1.3; }
.tile span { color: var(--soft); font-size: 13px; }
.tile small { margin-top: 2px; }
.columns {
  display: grid; gap: 20px 28px; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 400px), 1fr));
}
figure { margin: 0; min-width: 0; break-inside: avoid; }
figcaption { margin-bottom: 6px; font-size: 14px; }
figcaption b { margin-right: 8px; }
.key { white-space: nowrap; margin-right: 10px; color: var(--soft); }
.key svg { width: 12px; height: 12px; margin-right: 5px; display: inline; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--ink); font-size: 12px; }
svg .tick { fill: var(--soft); }
svg .title { font-size: 12px; }
svg .tiny { font-size: 9.5px; }
svg .halo { stroke: var(--paper); stroke-width: 4px; paint-order: stroke; }
.grid { stroke: var(--line); stroke-width: 1; }
.rule { stroke: var(--rule); stroke-width: 1; }
.mark {
  stroke: var(--grey); stroke-width: 1.25; stroke-dasharray: 5 4;
}
.curve {
  fill: none; stroke: var(--tone); stroke-width: 2; stroke-linejoin: round;
}
.fill { fill: var(--tone); }
.track { fill: var(--track); }
.outline { fill: none; stroke: var(--rule); stroke-width: 1; }
.shade-1 { fill-opacity: .1; } .shade-2 { fill-opacity: .2; }
.shade-3 { fill-opacity: .3; } .shade-4 { fill-opacity: .4; }
.shade-5 { fill-opacity: .5; } .shade-6 { fill-opacity: .6; }
.shade-7 { fill-opacity: .7; } .shade-8 { fill-opacity: .8; }
.shade-9 { fill-opacity: .9; }
svg .on-9, svg .on-10 { fill: var(--paper); }
@media (prefers-color-scheme: dark) {
  svg .on-7, svg .on-8 { fill: var(--paper); }
}
.frame { overflow-x: auto; }
.limited { max-height: 460px; overflow-y: auto; }
.limited thead th { position: sticky; top: 0; background: var(--paper); }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td {
  padding: 7px 14px 7px 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); font-weight: normal;
}
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: 13px; white-space: nowrap; }
.name { white-space: nowrap; }
.text { overflow-wrap: anywhere; white-space: pre-wrap; min-width: 120px; }
.prose { width: 48%; min-width: 200px; }
.number {
  text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums;
}
td.plot { width: 28%; min-width: 120px; }
pre {
  margin: 0 0 14px; padding: 12px 14px; background: var(--back);
  border: 1px solid var(--line); border-radius: 8px; overflow-x: auto;
  white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
dl {
  display: grid; grid-template-columns: minmax(110px, max-content) 1fr;
  gap: 5px 18px; margin: 0;
}
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
.good { color: var(--green); } .bad { color: var(--red); }
@media (max-width: 600px) {
  main { padding: 18px 10px 32px; }
  section, .verdict { padding: 14px; }
  h1 { font-size: 21px; }
  th, td { padding-right: 10px; }
  svg .axis { font-size: 15px; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
}
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --back: #ffffff; --ink: #000000; --soft: #444b55;
    --line: #d5dae0; --rule: #8b95a2; --track: #e8ebef;
    --blue: #1d5fd1; --amber: #b35900; --green: #1a7a41; --red: #c4302b;
    --grey: #6b7480;
  }
  body { font-size: 11pt; }
  main { max-width: none; padding: 0; }
  section, .tile, .verdict { border-radius: 0; }
  .limited { max-height: none; }
  tr, figure, h2, h3 { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
)css";

Markup Meta(std::string_view key, std::string_view name,
            std::string_view content) {
  return Markup::Leaf(
      "meta", {{key, std::string(name)}, {"content", std::string(content)}});
}

}  // namespace

Markup HtmlParagraph(std::string_view text, std::string_view classes) {
  Markup::Attributes attributes;
  if (!classes.empty()) attributes.push_back({"class", std::string(classes)});
  return Markup::Element("p", attributes, Markup::Text(text));
}

Markup HtmlSection(std::string_view title, const Markup& content) {
  if (content.empty()) return {};
  return Markup::Element(
      "section", {}, Markup::Element("h2", {}, Markup::Text(title)) + content);
}

Markup HtmlColumns(const std::vector<Markup>& items) {
  Markup content;
  for (const Markup& item : items) {
    content += item;
  }
  if (content.empty()) return {};
  return Markup::Element("div", {{"class", "columns"}}, content);
}

std::string HtmlPage(std::string_view title, const Markup& content) {
  const Markup head =
      Markup::Leaf("meta", {{"charset", "utf-8"}}) +
      Meta("name", "viewport", "width=device-width, initial-scale=1") +
      Meta("name", "color-scheme", "light dark") +
      Meta("http-equiv", "Content-Security-Policy",
           "default-src 'none'; style-src 'unsafe-inline'") +
      Markup::Element("title", {}, Markup::Text(title)) +
      Markup::Element("style", {}, Markup::Text(kPageStyle));
  const Markup html = Markup::Element(
      "html", {{"lang", "en"}},
      Markup::Element("head", {}, head) +
          Markup::Element("body", {}, Markup::Element("main", {}, content)));
  return Concat("<!DOCTYPE html>\n", html.text(), "\n");
}

}  // namespace attune::client
