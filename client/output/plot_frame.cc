#include "client/output/plot_frame.h"

#include "proto/cc/text.h"

namespace attune::client {

Markup PlotFigure(std::string_view title, const std::vector<PlotKey>& keys,
                  const Markup& drawing) {
  Markup caption = Markup::Element("b", {}, Markup::Text(title));
  for (const PlotKey& key : keys) {
    const Markup swatch =
        Svg(12, 12, "",
            SvgBox({0, 3, 12, 6}, Concat("fill ", ToneClass(key.tone))));
    caption += Markup::Text(" ");
    caption += Markup::Element("span", {{"class", "key"}},
                               swatch + Markup::Text(key.name));
  }
  return Markup::Element("figure", {},
                         Markup::Element("figcaption", {}, caption) + drawing);
}

Markup DrawAxes(const Box& area, const PlotAxes& axes) {
  const double bottom = area.y + area.height;
  Markup drawing;
  for (const double tick : axes.y.ticks()) {
    const double y = axes.y.Place(tick, bottom, area.y);
    drawing += SvgLine({area.x, y}, {area.x + area.width, y}, "grid");
    drawing +=
        SvgText({area.x - 8, y + 4}, Concat(axes.y.Label(tick), axes.y_unit),
                "tick axis", Anchor::kEnd);
  }
  for (const double tick : axes.x.ticks()) {
    const double x = axes.x.Place(tick, area.x, area.x + area.width);
    drawing += SvgLine({x, bottom}, {x, bottom + 4}, "rule");
    drawing +=
        SvgText({x, bottom + 18}, Concat(axes.x.Label(tick), axes.x_unit),
                "tick axis", Anchor::kMiddle);
  }
  drawing += SvgLine({area.x, bottom}, {area.x + area.width, bottom}, "rule");
  if (!axes.x_title.empty()) {
    drawing += SvgText({area.x + area.width / 2, bottom + 36}, axes.x_title,
                       "tick axis", Anchor::kMiddle);
  }
  return drawing;
}

Point PlaceIn(const Box& area, const PlotAxes& axes, Point value) {
  return {axes.x.Place(value.x, area.x, area.x + area.width),
          axes.y.Place(value.y, area.y + area.height, area.y)};
}

}  // namespace attune::client
