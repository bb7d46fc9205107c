#include "worker/text/template.h"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace attune::worker {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string Render(std::string_view source, std::string_view fields) {
  const auto compiled = Template::Compile(source);
  if (!compiled.ok()) return compiled.status().ToString();
  const auto text = (*compiled)->Render(fields);
  return text.ok() ? *text : text.status().ToString();
}

absl::StatusOr<std::string> TryRender(std::string_view source,
                                      std::string_view fields) {
  return (*Template::Compile(source))->Render(fields);
}

TEST(Template, FillsInFields) {
  EXPECT_EQ(Render("Review: {{ text }}\nIt was", R"({"text": "ä <b> \"q\""})"),
            "Review: ä <b> \"q\"\nIt was");
}

TEST(Template, HasConditionsLoopsAndPythonMethods) {
  EXPECT_EQ(Render("{% for w in words %}{% if w != 'b' %}{{ w.upper() }}"
                   "{% endif %}{% endfor %}|{{ s.strip() }}",
                   R"({"words": ["a", "b", "c"], "s": "  x  "})"),
            "AC|x");
}

TEST(Template, KnowsWhatFieldsItNeeds) {
  const auto compiled = Template::Compile(
      "{% set own = 1 %}{{ own }}{{ text }}{% for i in range(3) %}{{ i }}"
      "{{ other.part }}{% endfor %}");

  ASSERT_OK(compiled);
  EXPECT_THAT((*compiled)->undeclared_variables(),
              ElementsAre("other", "text"));
}

TEST(Template, NamesLineAndNameOfAnUnknownField) {
  EXPECT_THAT(TryRender("a\nb {{ txt }}", R"({"text": "x"})"),
              ReasonIs(Reason::kInvalidTemplate,
                       AllOf(HasSubstr("line 2"), HasSubstr("'txt'"))));
}

TEST(Template, NamesTheLineOfASyntaxError) {
  EXPECT_THAT(Template::Compile("ok\n{% if %}"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("line 2")));
  EXPECT_THAT(Template::Compile("{{ a"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("line 1")));
}

TEST(Template, AFieldMayBeOptionalWhenTheTemplateSaysSo) {
  EXPECT_EQ(Render("{{ title if title is defined else 'none' }}", "{}"),
            "none");
}

TEST(Template, StopsEndlessWork) {
  EXPECT_THAT(TryRender("{% for i in range(100000) %}{% for j in range(100000)"
                        " %}{% endfor %}{% endfor %}",
                        "{}"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("too long")));
}

TEST(Template, StopsEndlessRecursion) {
  EXPECT_THAT(
      TryRender("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "{}"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("recursion")));
}

TEST(Template, StopsAtTheOutputLimit) {
  EXPECT_THAT(TryRender("{% for i in range(2000) %}{{ x }}{% endfor %}",
                        "{\"x\": \"" + std::string(1000, 'a') + "\"}"),
              ReasonIs(Reason::kInvalidTemplate,
                       HasSubstr("longer than 1048576 bytes")));
}

TEST(Template, RefusesSourcesBeyondTheLimit) {
  EXPECT_THAT(
      Template::Compile(std::string(Template::kMaxSourceBytes + 1, 'a')),
      ReasonIs(Reason::kInvalidTemplate, HasSubstr("longer than")));
}

TEST(Template, RefusesCountsThatNoMemoryHolds) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"{{ [1] | batch(99999999999) }}", "99999999999 is above 10000"},
      {"{{ [1] | slice(99999999999) }}", "99999999999 is above 10000"},
      {"{{ 'a' | indent(99999999999) }}", "99999999999 is above 10000"},
      {"{{ 'a' | indent(width=99999999999) }}", "99999999999 is above 10000"},
      {"{{ '%99999999999d' | format(1) }}", "more than four digits"},
      {"{{ '%*d' | format(99999999999, 1) }}", "99999999999 is above 10000"},
      {"{{ '%(n)99999999999d' | format(n=1) }}", "more than four digits"},
      {"{{ '{:>99999999999}'.format(1) }}", "more than four digits"},
      {"{{ '{:{w}}'.format(1, w=99999999999) }}", "above 10000"},
      {"{{ ([1] * 99999999999) | list }}", "99999999999 items is longer"},
      {"{{ ([1] * 99999999999) | map('string') | list }}", "is longer than"},
      {"{{ ','.join([1] * 99999999999) }}", "is longer than 1000000"}};
  for (const auto& [source, what] : kWrong) {
    EXPECT_THAT(TryRender(source, "{}"),
                ReasonIs(Reason::kInvalidTemplate, HasSubstr(what)))
        << source;
  }
}

TEST(Template, FiltersWithinTheLimitsAreUnchanged) {
  EXPECT_EQ(
      Render("{{ [3, 1, 2] | sort | batch(2, 0) | list }}"
             "{{ 'a\nb' | indent(width=2) }}"
             "{{ [{'n': 1}, {'n': 2}] | map(attribute='n') | join('-') }}"
             "{{ '%3d|%s 12345' | format(70000, 'x') }}{{ '{:>3}'.format(7) }}"
             "{{ [1, 2, 3] | select('odd') | list }}"
             "{{ [3, 1] | sort(reverse=true) | max }}"
             "{{ missing | default('d') | upper }}{{ 'b' | string }}",
             "{}"),
      "[[1, 2], [3, 0]]a\n  b1-270000|x 12345  7[1, 3]3Db");
}

TEST(Template, SurvivesDeepNesting) {
  std::string source;
  for (int i = 0; i < 5000; ++i) source += "{% if true %}";
  const std::string parens = "{{ " + std::string(20'000, '(') + "1 }}";

  EXPECT_THAT(Template::Compile(source),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")));
  EXPECT_THAT(Template::Compile(parens),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")));
}

TEST(Template, SurvivesValuesThatAreNestedDeep) {
  std::string source = "{% set x = 1 %}";
  const std::string step =
      "{% set x = " + std::string(30, '[') + "x" + std::string(30, ']') + " %}";
  for (int i = 0; i < 3000; ++i) source += step;
  ASSERT_LE(source.size(), Template::kMaxSourceBytes);

  // 90,000 lists inside each other.
  EXPECT_EQ(Render(source + "{{ x }}", "{}").size(), 2 * 90'000u + 1);
  EXPECT_EQ(Render(source + "{{ x == x }}", "{}"), "True");
}

TEST(Template, HasNoNamespacesWhichCouldHoldThemselves) {
  EXPECT_THAT(
      TryRender("{% set n = namespace(a=1) %}{% set n.a = n %}{{ n }}", "{}"),
      ReasonIs(Reason::kInvalidTemplate, HasSubstr("namespace")));
}

TEST(Template, CannotReachFiles) {
  EXPECT_THAT(TryRender("{% include '/etc/passwd' %}", "{}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("template not found")));
}

TEST(Template, RefusesFieldsThatAreNestedWithoutEnd) {
  EXPECT_THAT(TryRender("{{ a }}", "{\"a\": " + std::string(1 << 20, '[')),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("recursion limit")));
}

TEST(Template, RefusesFieldsThatAreNoJsonObject) {
  EXPECT_THAT(TryRender("x", "[1]"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not a JSON object")));
  EXPECT_THAT(TryRender("x", "{"), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("not valid JSON")));
  EXPECT_THAT(
      TryRender("x", "{\"a\": \"\xff\"}"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
}

constexpr char kPair[] =
    R"({"text": "Zoë met Åke.", "a": {"begin": 8, "end": 11}, "b": [0, 3]})";

TEST(Mark, PutsMarkersAroundSpansOfCharacters) {
  EXPECT_EQ(Render("Who: {{ text | mark(E1=a, E2=b) }}", kPair),
            "Who: [E2] Zoë [/E2] met [E1] Åke [/E1].");
}

TEST(Mark, PutsMarkersAroundSpansOfWords) {
  EXPECT_EQ(Render("{{ words | mark(A=[1, 3], B=[3, 4]) }}",
                   R"({"words": ["to", "New", "York", "now"]})"),
            "to [A] New York [/A] [B] now [/B]");
}

TEST(Mark, NeighboursStandAsTheTextHasThem) {
  EXPECT_EQ(Render("{{ t | mark(A=[0, 1], B=[1, 2]) }}", R"({"t": "ab"})"),
            "[A] a [/A][B] b [/B]");
}

TEST(Mark, ASpanMayHoldOthers) {
  EXPECT_EQ(Render("{{ t | mark(In=[0, 2], Out=[0, 6], Late=[4, 6]) }}",
                   R"({"t": "ab cd."})"),
            "[Out] [In] ab [/In] c[Late] d. [/Late] [/Out]");
}

TEST(Mark, OfEqualSpansTheFirstHoldsTheOther) {
  EXPECT_EQ(Render("{{ t | mark(B=[0, 1], A=[0, 1]) }}", R"({"t": "x"})"),
            "[B] [A] x [/A] [/B]");
}

TEST(Mark, TakesWhatTheTemplateComputes) {
  EXPECT_EQ(Render("{% set p = {'begin': b | int, 'end': 2.0} %}"
                   "{{ t | upper | mark(E=p) }} {{ ws | map('upper') | "
                   "mark(E=places[1:]) }}",
                   R"({"t": "abc", "b": "1", "ws": ["x", "y"],
                       "places": [7, 0, 1]})"),
            "A[E] B [/E]C [E] X [/E] Y");
}

TEST(Mark, NeedsTheFieldsOfTextAndSpans) {
  const auto compiled =
      Template::Compile("{{ text | mark(E1=subject, E2=object.span) }}");

  ASSERT_OK(compiled);
  EXPECT_THAT((*compiled)->undeclared_variables(),
              ElementsAre("object", "subject", "text"));
  EXPECT_THAT((*compiled)->Render(R"({"text": "a", "subject": [0, 1]})"),
              ReasonIs(Reason::kInvalidTemplate,
                       HasSubstr("missing fields: 'object'")));
}

TEST(Mark, NamesLineMarkerAndValueOfWrongSpans) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"t | mark(E1=[3, 7])",
       "marker E1: the span from 3 to 7 is outside the text of 6 characters"},
      {"w | mark(E1=[1, 3])",
       "marker E1: the span from 1 to 3 is outside the text of 2 words"},
      {"t | mark(E1=[3, 3])", "marker E1: begin 3 is not before end 3"},
      {"t | mark(E1=[4, 3])", "marker E1: begin 4 is not before end 3"},
      {"t | mark(E1=[-1, 3])",
       "marker E1: begin must be a whole number from 0 on, not -1"},
      {"t | mark(E1=[0, 1.5])",
       "marker E1: end must be a whole number from 0 on, not 1.5"},
      {"t | mark(E1=['0', 1])",
       "marker E1: begin must be a whole number from 0 on, not string"},
      {"t | mark(E1=[false, true])",
       "marker E1: begin must be a whole number from 0 on, not bool"},
      {"t | mark(E1={'begin': 0})",
       "marker E1: end must be a whole number from 0 on, not undefined"},
      {"t | mark(E1=[1, 2, 3])", "not a list of another length"},
      {"t | mark(E1=3)",
       "marker E1: a span is {\"begin\": 3, \"end\": 9} or [3, 9], not number"},
      {"t | mark(E1='abc')", "[3, 9], not string"},
      {"t | mark(E1=none)", "[3, 9], not none"},
      {"t | mark(A=[0, 4], B=[2, 5])",
       "markers A and B: the spans from 0 to 4 and from 2 to 5 overlap"},
      {"t | mark", "mark needs the span of at least one marker"},
      {"t | mark([0, 1])", "mark takes each span by the name of its marker"},
      {"t | mark(**{1: [0, 1]})", "non string keys"},
      {"7 | mark(E1=[0, 1])",
       "mark takes a text or a list of words, not number"},
      {"none | mark(E1=[0, 1])",
       "mark takes a text or a list of words, not none"},
      {"['a', 2] | mark(E1=[0, 1])", "word 1 is no text but number"},
      {"missing | mark(E1=[0, 1])", "is undefined"},
      {"t | mark(E1=missing)", "is undefined"}};
  for (const auto& [expression, what] : kWrong) {
    EXPECT_THAT(TryRender("\n{{ " + std::string(expression) + " }}",
                          R"({"t": "abc de", "w": ["abc", "de"]})"),
                ReasonIs(Reason::kInvalidTemplate,
                         AllOf(HasSubstr("line 2: "), HasSubstr(what))))
        << expression;
  }
}

TEST(Mark, StopsAtTheOutputLimit) {
  EXPECT_THAT(TryRender("{{ (['a'] * 99999999999) | mark(E1=[0, 1]) }}", "{}"),
              ReasonIs(Reason::kInvalidTemplate,
                       HasSubstr("longer than 1048576 bytes")));
  EXPECT_THAT(TryRender("{{ x | mark(E1=[0, 1]) }}",
                        "{\"x\": \"" + std::string(1048576 - 10, 'a') + "\"}"),
              ReasonIs(Reason::kInvalidTemplate,
                       HasSubstr("longer than 1048576 bytes")));
}

TEST(Mark, IsNothingThatChatTemplatesHave) {
  const auto chat = Template::CompileChat("{{ 'ab' | mark(E1=[0, 1]) }}");
  ASSERT_OK(chat);

  EXPECT_THAT((*chat)->Render("{}"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("mark is unknown")));
}

std::set<std::string> MarkedFields(std::string_view source,
                                   std::string_view fields) {
  const auto compiled = Template::Compile(source);
  EXPECT_OK(compiled);
  if (!compiled.ok()) return {};
  const auto marked = (*compiled)->FindMarkedFields(fields);
  EXPECT_OK(marked);
  return marked.ok() ? *marked : std::set<std::string>();
}

TEST(FindMarkedFields, KnowsTheTextsWhosePlacesAreCounted) {
  constexpr char kFields[] =
      R"({"title": "Who?", "text": "  Zoë", "s": [0, 2], "words": ["a", "b"]})";

  EXPECT_THAT(MarkedFields("{{ title }} {{ text }}", kFields), IsEmpty());
  EXPECT_THAT(MarkedFields("{{ title }} {{ text | mark(E=s) }}", kFields),
              ElementsAre("text"));
  EXPECT_THAT(MarkedFields("{% set t = text | trim %}{{ t | mark(E=s) }}"
                           "{{ title }}",
                           kFields),
              ElementsAre("text"));
  // Lists are never cut.
  EXPECT_THAT(MarkedFields("{{ text }}{{ words | mark(E=s) }}", kFields),
              IsEmpty());
  EXPECT_THAT(MarkedFields("{% if title == 'Who?' %}{{ words | mark(E=s) }}"
                           "{% endif %}",
                           kFields),
              ElementsAre("title"));
}

TEST(FindMarkedFields, FailsWhereRenderingFails) {
  EXPECT_THAT((*Template::Compile("{{ a | mark(E=[0, 9]) }}"))
                  ->FindMarkedFields(R"({"a": "b"})"),
              ReasonIs(Reason::kInvalidTemplate, HasSubstr("outside")));
  EXPECT_THAT(
      (*Template::Compile("{{ a }}"))->FindMarkedFields("[1]"),
      ReasonIs(Reason::kInvalidTemplate, HasSubstr("not a JSON object")));
}

constexpr char kChat[] =
    "{%- for message in messages %}\n"
    "    {%- if message['role'] == 'tool' %}\n"
    "        {{- raise_exception('no tools: ' + message['content']) }}\n"
    "    {%- endif %}\n"
    "{{ bos_token }}[{{ message.role }}] {{ message['content'].strip() }}"
    "{{ eos_token }}\n"
    "{% endfor %}\n"
    "{% if tools %}{{ tools }}{% endif %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

TEST(RenderChat, GivesMessagesAndSpecialTokens) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"user", " Hi \n"},
                                             {"assistant", "Hello"}};
  ASSERT_OK(chat);

  const auto text =
      RenderChat(**chat, messages, {.bos_token = "<s>", .eos_token = "</s>"});

  EXPECT_EQ(*text, "<s>[user] Hi</s>\n<s>[assistant] Hello</s>\n[assistant]");
}

TEST(RenderChat, HasNamespaces) {
  const auto chat = Template::CompileChat(
      "{% set n = namespace(count=0) %}{% for m in messages %}"
      "{% set n.count = n.count + 1 %}{% endfor %}{{ n.count }}");
  const std::vector<ChatMessage> messages = {{"user", "a"}, {"user", "b"}};

  EXPECT_EQ(*RenderChat(**chat, messages, {}), "2");
}

TEST(RenderChat, EndsWithoutAHeaderOnRequest) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};

  const auto text =
      RenderChat(**chat, messages, {.add_generation_prompt = false});

  EXPECT_EQ(*text, "[user] Hi\n");
}

TEST(RenderChat, ReportsWhatTheTemplateRaises) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"tool", "now"}};

  EXPECT_THAT(
      RenderChat(**chat, messages, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no tools: now")));
}

TEST(RenderChat, RefusesMessagesThatAreNotUtf8) {
  const auto chat = Template::CompileChat(kChat);
  const std::vector<ChatMessage> messages = {{"user", "\xff"}};

  EXPECT_THAT(
      RenderChat(**chat, messages, {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not UTF-8")));
}

TEST(RenderChat, StopsTemplatesThatLoopForEver) {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  for (const char* source :
       {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}"
        "{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for m in messages recursive %}{{ loop([m]) }}{% endfor %}"}) {
    const auto chat = Template::CompileChat(source);
    ASSERT_OK(chat);
    EXPECT_THAT(RenderChat(**chat, messages, {}),
                ReasonIs(Reason::kInvalidTemplate, HasSubstr("line 1")))
        << source;
  }
}

TEST(RenderChat, WritesJsonAsPythonDoes) {
  const auto chat = Template::CompileChat("{{ messages | tojson }}");
  const std::vector<ChatMessage> messages = {{"user", "<ü>"}};

  EXPECT_EQ(*RenderChat(**chat, messages, {}),
            R"([{"role": "user", "content": "<ü>"}])");
}

}  // namespace
}  // namespace attune::worker
