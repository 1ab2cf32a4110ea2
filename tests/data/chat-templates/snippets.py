"""Small templates, each about one thing of Jinja; make.py writes what they give to snippets.jsonl."""

VARIABLES = {
    "name": "World", "empty": "", "n": 7, "neg": -7, "x": 2.5, "t": True, "f": False, "nil": None,
    "list": [3, 1, 2], "words": ["banana", "apple", "Cherry", "apple"], "nested": [[1, 2], [3, 4]],
    "d": {"b": 1, "a": 2, "C": 3}, "s": "  Hello, W\u00f6rld \U0001f642\n", "multi": "one\ntwo\n\nthree",
    "quote": "it's \"q\"\t\\ \u00e9 \u0007 \u200b \u2028", "html": "<a href='x'>&</a>", "nothing": [], "nodict": {},
    "users": [{"name": "Bo", "age": 30, "tags": ["x", "y"]}, {"name": "al", "age": 25},
              {"name": "Cy", "age": 30, "tags": []}],
    "tool": {"type": "function", "function": {"name": "f", "parameters": {
        "type": "object", "properties": {"a": {"type": "string", "enum": ["\u00e9", "<b>"]}}, "required": []}}},
    "mixed": [1, 2.0, True, None, "a", [], {}], "big": 9007199254740993, "tiny": 1e-7, "huge": 1e22,
    "clash": {"items": 1, "get": 2, "k": "v"}, "cased": "stra\u00dfe \u00c9CLAIR \u01c6",
}

SNIPPETS = r'''
{{ name }}
{{ n }} {{ neg }} {{ x }} {{ t }} {{ f }} {{ nil }} {{ empty }}|{{ missing }}|
{{ mixed }}
{{ quote }}
{{ [quote] }}
{{ ["it's", 'say "hi"', 'both \' and "', "tab\t", "nl\n", "\x7f\xa0é🙂"] }}
{{ d }} {{ users }}
{{ (1,) }} {{ () }} {{ (1, 'a') }} {{ 1, 2 }}
{{ [1.0, 0.1, 1e16, 1e15, 123456789012345680.0, 1e-4, 1e-5, 1.5e300, 100.0, 0.30000000000000004] }}
{{ tiny }} {{ huge }} {{ big }} {{ -0.0 }}
{{ {'a': [1, {'b': none}], 2: true, none: 1.5} }}
{{ 'esc: \n \t \\ \' \" \x41 \u00e9 \101 \q \U0001f642' }}
{{ "adjacent " 'strings' }}
{{ 1_000 }} {{ 1e3 }} {{ 1.5e-3 }} {{ 1E+2 }} {{ 0 }}
{{ 7 + 2 }} {{ 7 - 2 }} {{ 7 * 2 }} {{ 7 / 2 }} {{ 7 // 2 }} {{ 7 % 3 }} {{ 2 ** 10 }}
{{ -7 // 2 }} {{ -7 % 3 }} {{ 7 // -2 }} {{ 7 % -3 }} {{ -7.5 // 2 }} {{ -7.5 % 2 }} {{ 7.5 % -2 }}
{{ 6 / 3 }} {{ 2 ** -1 }} {{ 2 ** 0.5 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ 2 * 3 + 4 * 5 }}
{{ 1 + 2.0 }} {{ true + 1 }} {{ true + true }} {{ -true }} {{ +true }} {{ +n }} {{ - n }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 1 % 0 }}
{{ 0.0 // 0 }}
{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 3 * 'ab' }} {{ 'a' * 0 }} {{ 'a' * -1 }} {{ [1] * 2 }} {{ [1] + [2] }} {{ (1,) + (2,) }}
{{ 'a' + 1 }}
{{ 1 + 'a' }}
{{ [1] + (2,) }}
{{ none + 1 }}
{{ 'a' - 'b' }}
{{ missing + 'a' }}
{{ 'a' + missing }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1] ~ missing ~ 'z' }}
{{ 1 ~ 2 + 3 }} {{ 2 * 3 ~ 4 }}
{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ 'B' < 'a' }} {{ [1, 2] < [1, 3] }} {{ (1,) < (1, 2) }}
{{ 1 != 2 }} {{ 2 >= 2 }} {{ 2 <= 1 }} {{ 2 > 1.5 }} {{ 'a' == 1 }} {{ none == false }} {{ [] == () }} {{ {'a': 1} == {'a': 1.0} }}
{{ 1 < 'a' }}
{{ none < 1 }}
{{ missing < 1 }}
{{ missing == missing2 }} {{ missing == none }} {{ missing == '' }} {{ missing != 1 }}
{{ 'a' in 'abc' }} {{ 'x' not in 'abc' }} {{ 1 in [1, 2] }} {{ 'a' in d }} {{ 5 in d }} {{ 'a' in missing }} {{ not 1 in [2] }} {{ '' in 'a' }}
{{ 1 in 'abc' }}
{{ 1 in none }}
{{ [] in d }}
{{ t and 'yes' }} {{ f and 'yes' }} {{ f or 'no' }} {{ 0 or [] or 'last' }} {{ '' or none }} {{ not '' }} {{ not not 1 }} {{ not t or t }}
{{ 'a' if t else 'b' }} {{ 'a' if f else 'b' }} |{{ 'a' if f }}| {{ 'a' if f else 'b' if f else 'c' }}
{{ ('a' if f).x }}
{{ d.a }} {{ d['a'] }} {{ d.missing }}| {{ d['missing'] }}| {{ users[0].name }} {{ users[-1]['name'] }} {{ users.0.name }} {{ nested[1][0] }}
{{ d.missing.x }}
{{ missing.x }}
{{ missing['x'] }}
{{ nil.x }}| {{ nil['x'] }}| {{ n.x }}| {{ list.x }}| {{ list[9] }}| {{ list['a'] }}| {{ 'abc'[9] }}|
{{ clash.k }} {{ clash['items'] }} {{ clash.items() | list }} {{ clash['get'] }} {{ d['items']() | list }}
{{ d.items is defined }} {{ d.nope is defined }} {{ 'abc'.upper is callable }}
{{ 'abc'[0] }}{{ 'abc'[-1] }}{{ 'aé🙂z'[2] }} {{ list[true] }}
{{ 'hello'[1:3] }} {{ 'hello'[:2] }} {{ 'hello'[2:] }} {{ 'hello'[::-1] }} {{ 'hello'[-3:-1] }} {{ 'hello'[::2] }} {{ 'hello'[4:1:-2] }} {{ 'hello'[10:] }}| {{ 'aé🙂z'[::-1] }}
{{ list[1:] }} {{ list[:-1] }} {{ list[::-1] }} {{ list[5:] }} {{ list[-100:2] }} {{ (1,2,3)[1:] }} {{ list[2::-1] }} {{ list[:] }} {{ list[none:none] }} {{ range(10)[2:8:3] | list }}
{{ list[::0] }}
{{ list['a':] }}
{{ d[1:2] }}|{{ n[1:] }}|
{{ missing[1:] }}
{% if t %}yes{% endif %}{% if f %}no{% else %}else{% endif %}{% if f %}1{% elif t %}2{% else %}3{% endif %}
{% if nothing %}1{% elif nodict %}2{% elif empty %}3{% elif 0.0 %}4{% elif missing %}5{% else %}6{% endif %}
{% for i in list %}{{ i }},{% endfor %}
{% for i in nothing %}{{ i }}{% else %}empty{% endfor %}
{% for i in missing %}{{ i }}{% else %}undefined{% endfor %}
{% for c in 'aé🙂' %}[{{ c }}]{% endfor %}{% for k in d %}{{ k }}{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for (k, v) in d | items %}{{ k }}{{ v }}{% endfor %}{% for a, b in nested %}{{ a * b }} {% endfor %}
{% for i in 5 %}{% endfor %}
{% for i in none %}{% endfor %}
{% for a, b in list %}{% endfor %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{% for i in list if i > 1 %}{{ i }}{{ loop.index }}{{ loop.length }}{{ loop.last }} {% endfor %}
{% for i in list if i > 9 %}x{% else %}none{% endfor %}
{% for i in list %}{{ loop.index }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.length }} {{ loop.depth }} {{ loop.previtem }} {{ loop.nextitem }} {{ loop.cycle('a', 'b') }};{% endfor %}
{% for i in list %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}
{% for i in [1, 1, 2, 2, 1] %}{{ loop.changed(i) }} {% endfor %}
{% for i in [1, 2] %}{% for j in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }};{% endfor %}
{% for i in [1, 2] %}{% set outer = loop %}{% for j in [1, 2] %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %}
{% for i in list %}{{ loop.nope }}|{% endfor %}
{% for i in [1, 2, 3, 4] %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 4 %}{% break %}{% endif %}{{ i }}{% endfor %}.
{% for i in [1, 2] %}{% for j in [1, 2, 3] %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}
{% for i in [1, 2] %}{% break %}{% else %}never{% endfor %}|
{% for i in [1, 2] %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% else %}never{% endfor %}|{% for i in [1, 2] %}{% continue %}{% else %}all broken off{% endfor %}
{{ (list | select)[1:] }}
{% for i in 1, 2, 3 %}{{ i }}{% endfor %}
{{ loop }}|
{% set a = 1 %}{{ a }}{% set a, b = 2, 3 %}{{ a }}{{ b }}{% set c = 1, 2 %}{{ c }}
{% set a = 1 %}{% for i in list %}{% set a = a + i %}{{ a }} {% endfor %}{{ a }}
{% set a = 1 %}{% if t %}{% set a = 2 %}{% endif %}{{ a }}{% if f %}{% set z = 1 %}{% endif %}{{ z is defined }}
{% for i in [1] %}{% if t %}{% set q = 5 %}{% endif %}{{ q }}{% endfor %}{{ q is defined }}
{% set ns = namespace(a=1) %}{% for i in list %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {{ ns.nope }}| {{ ns['a'] }} {{ ns.nope is defined }}
{% set ns = namespace() %}{% set ns.found = false %}{% for u in users %}{% if u.age == 25 %}{% set ns.found = u.name %}{% endif %}{% endfor %}{{ ns.found }}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{% set ns.l = [] %}{% for i in list %}{% set ns.l = ns.l + [i * 2] %}{% endfor %}{{ ns.l }}
{% set d.a = 1 %}
{% set nope.a = 1 %}
{% set a %}block {{ name }}{% endset %}[{{ a }}]{% set b | upper %}x{{ name }}{% endset %}{{ b }}{% set c | trim | replace('a', 'b') %}  aa  {% endset %}[{{ c }}]
{% set a = 1 %}{% set b %}{% set a = 2 %}{{ a }}{% endset %}{{ a }}{{ b }}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a is defined }}{% set a = 5 %}{% with a = 1, b = a %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% filter upper %}abc {{ name }}{% endfilter %}{% filter replace('a', 'b') | upper %}aaa{% endfilter %}
{% generation %}gen {{ name }}{% set g = 1 %}{% endgeneration %}{{ g is defined }}
{% macro m(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=1, a=2) }}{{ m() }}
{% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }}{{ m(1) | length }}{{ m(1) is string }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(c=2) }}
{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}
{% macro fact(n) %}{{ 1 if n < 2 else n * fact(n - 1) | int }}{% endmacro %}{{ fact(10) }}
{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}{% for x in [9] %}{{ m() }}{% endfor %}
{% macro m() %}{% set inner = 1 %}{{ inner }}{% endmacro %}{{ m() }}{{ inner is defined }}{{ m is callable }}
{% if true %}{% macro m() %}in if{% endmacro %}{% endif %}{{ m() }}
{{ nope() }}
{{ n() }}
{{ 'abc'() }}
{{ "}}" }}{{ '%}' }}{{ {'a': {'b': 1}} }}{{ {'a': 1}['a'] }}
{{ s | trim }}|{{ 'xxaxx' | trim('x') }}|{{ n | trim }}|{{ nil | trim }}|{{ missing | trim }}|
{{ 'abc' | upper }} {{ 'ABC É' | lower }} {{ cased | upper }} {{ cased | lower }} {{ cased | capitalize }} {{ 5 | upper }} {{ missing | upper }}|
{{ "hello wORLD foo-bar (baz) it's" | title }} {{ 'hello WORLD' | capitalize }} {{ '' | capitalize }}| {{ cased.title() }} {{ "they're bill's" | title }} {{ "they're x1y".title() }}
{{ list | length }} {{ d | count }} {{ 'aé🙂' | length }} {{ missing | length }} {{ d.items() | length }} {{ range(4) | length }}
{{ 5 | length }}
{{ none | length }}
{{ list | map('string') | length }}
{{ list | join }} {{ list | join(', ') }} {{ users | join(', ', attribute='name') }} {{ [1, none, missing, 'a'] | join('-') }} {{ 'abc' | join('.') }} {{ d | join }} {{ list | join(0) }}
{{ missing | default('x') }} {{ nil | default('x') }} {{ empty | default('x') }}| {{ empty | default('x', true) }} {{ missing | d }}| {{ nil | default('x', boolean=true) }} {{ d.q | default(n + 1) }} {{ 0 | d('z', true) }}
{{ missing.x | default('y') }}
{{ list | first }} {{ list | last }} {{ nothing | first }}| {{ nothing | last }}| {{ 'abc' | first }}{{ 'abc' | last }} {{ d | first }} {{ d | last }} {{ missing | first }}| {{ d.items() | first }}
{{ 5 | first }}
{{ list | map('abs') | last }}
{{ 'abc' | list }} {{ d | list }} {{ (1, 2) | list }} {{ missing | list }} {{ range(3) | list }} {{ d.values() | list }}
{{ users | map(attribute='name') | list }} {{ users | map(attribute='tags.0') | list }} {{ users | map(attribute='tags', default='none') | list }} {{ words | map('upper') | list }} {{ nested | map('first') | list }} {{ nested | map(attribute=1) | list }} {{ words | map('replace', 'a', 'o') | list }} {{ nested | map('join', '-') | join(' ') }}
{{ mixed | select | list }} {{ mixed | reject | list }} {{ [1, 2, 3, 4] | select('odd') | list }} {{ [1, 2, 3, 4] | reject('divisibleby', 2) | list }} {{ mixed | select('string') | list }} {{ [1, 5] | select('>', 2) | list }} {{ words | select('in', ['apple']) | list }}
{{ none | selectattr('a') | list }} {{ 0 | map('upper') | list }} {{ nil | map(attribute='a') | list }} {{ none | select | list }} {{ false | reject('odd') | list }} {{ missing | map('upper') | list }}
{{ none | join }}
{{ none | sort }}
{{ none | unique | list }}
{{ none | first }}
{{ none | sum }}
{{ none | max }}
{{ 5 | map('upper') | list }}
{{ none | list }}
{{ none | reverse }}
{{ none | dictsort }}
{{ none | items | list }}
{{ none | indent }}
{{ missing | indent }}
{{ none | replace('N', 'M') }} {{ none | title }} {{ none | wordcount }} {{ missing | replace('a', 'b') }}|{{ missing | title }}| {{ missing | sort }} {{ missing | unique | list }} {{ missing | sum }} {{ missing | max }}| {{ missing | reverse | list }} {{ missing | join(',') }}|
{{ users | selectattr('tags') | map(attribute='name') | list }} {{ users | rejectattr('tags') | map(attribute='name') | list }} {{ users | selectattr('age', 'equalto', 30) | map(attribute='name') | join(',') }} {{ users | selectattr('tags', 'defined') | list | length }} {{ users | rejectattr('age', 'lt', 30) | list | length }} {{ users | selectattr('name', '==', 'Bo') | first }}
{% if users | selectattr('age', 'equalto', 99) %}generators are true{% endif %}{% if users | selectattr('age', 'equalto', 99) | list %}x{% else %}lists are not{% endif %}
{% set g = list | map('string') %}{% for i in g %}{{ i }}{% endfor %}{% for i in g %}{{ i }}{% else %}used up{% endfor %}{% set h = list | map('string') %}{{ h | first }}{{ h | list }}
{{ (list | select)[0] }}|
{{ 'a.b.c' | replace('.', '-') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 'abc' | replace('', '_') }} {{ 5 | replace(5, 6) }} {{ 'é🙂é' | replace('é', 'e') }} {{ 'aaa' | replace('aa', 'b') }}
{{ d | tojson }} {{ mixed | tojson }} {{ quote | tojson }} {{ html | tojson }} {{ 'é🙂\u2028\x7f\b\f' | tojson }} {{ none | tojson }} {{ 1.0 | tojson }} {{ (1, 2) | tojson }} {{ '' | tojson }}
{{ tool | tojson(indent=2) }}
{{ tool | tojson(indent=4) }}|{{ [] | tojson(indent=2) }}|{{ {} | tojson(indent=2) }}|{{ [[1], {}] | tojson(indent=1) }}|{{ [1, [2]] | tojson(indent=0) }}|{{ [1] | tojson(indent='\t') }}
{{ d | tojson(sort_keys=true) }} {{ d | tojson(separators=(',', ':')) }} {{ 'é🙂/' | tojson(ensure_ascii=true) }} {{ '\x7f\x1f' | tojson(true) }} {{ tool | tojson(indent=2, separators=(', ', ' = ')) }} {{ d | tojson(indent=none) }}
{{ {1: 'a', none: 'b', true: 'c', 1.5: 'd'} | tojson }} {{ {2: 1, 10: 2} | tojson(sort_keys=true) }}
{{ {1: 1, 'a': 2} | tojson(sort_keys=true) }}
{{ missing | tojson }}
{{ [missing] | tojson }}
{{ d.items() | tojson }}
{{ list | map('abs') | tojson }}
{{ 5 | string }}{{ none | string }}{{ [1, 'a'] | string }}{{ 1.0 | string | length }} {{ 'a' | string is string }}
{{ '42' | int }} {{ '4.9' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ 3.99 | int }} {{ -3.99 | int }} {{ none | int }} {{ '' | int }} {{ ' 7 ' | int }} {{ true | int }} {{ 'ff' | int(base=16) }} {{ '0x1f' | int(0, 16) }} {{ '-12' | int }} {{ '1_000' | int }} {{ [] | int }} {{ '+5' | int }} {{ '1e3' | int }}
{{ missing | int }}
{{ '4.5' | float }} {{ 'x' | float }} {{ 'x' | float(1.5) }} {{ 3 | float }} {{ none | float }} {{ '1e3' | float }} {{ 'inf' | float }} {{ 'nan' | float }} {{ ' 2 ' | float }} {{ '-.5' | float }} {{ '5.' | float }}
{{ -5 | abs }} {{ neg | abs }} {{ -2.5 | abs }} {{ (-3) | abs }} {{ true | abs }}
{{ 'a' | abs }}
{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 7 | round }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round(method='floor') }} {{ 2.345 | round(2, 'floor') }} {{ -2.5 | round }} {{ 1234.5 | round(-2) }} {{ 0.125 | round(2) }} {{ 1e22 | round(1) }} {{ 7 | round(1, 'floor') }}
{{ list | sort }} {{ words | sort }} {{ words | sort(case_sensitive=true) }} {{ list | sort(reverse=true) }} {{ users | sort(attribute='age') | map(attribute='name') | list }} {{ users | sort(attribute='age,name') | map(attribute='name') | list }} {{ users | sort(attribute='age', reverse=true) | map(attribute='name') | list }} {{ 'bca' | sort }} {{ d | sort }} {{ nested | sort(reverse=true) }}
{{ mixed | sort }}
{{ list | reverse | list }} {{ 'abc' | reverse }} {{ (1, 2) | reverse | list }} {{ d | reverse | list }}
{{ words | unique | list }} {{ ['a', 'A', 'b'] | unique | list }} {{ ['a', 'A'] | unique(true) | list }} {{ [1, 1.0, true, 2] | unique | list }} {{ users | unique(attribute='age') | map(attribute='name') | list }}
{{ d | items | list }} {{ missing | items | list }} {{ d.items() }} {{ d.keys() }} {{ d.values() }}
{{ list | items | list }}
{{ d | dictsort }} {{ d | dictsort(true) }} {{ d | dictsort(by='value') }} {{ d | dictsort(false, 'value', true) }}
{% for k, v in d | dictsort %}{{ k }}{{ v }}{% endfor %}
{{ list | dictsort }}
{{ html | safe }} {{ 5 | safe }} {{ multi | indent }}
{{ multi | indent(2) }}|{{ multi | indent(2, true) }}|{{ multi | indent(2, false, true) }}|{{ multi | indent('> ') }}|{{ multi | indent(width=1, first=true, blank=true) }}|{{ '' | indent }}|{{ 'a\n' | indent }}|{{ '\na' | indent(first=true) }}|
{{ 'the quick  brown-fox_1 é' | wordcount }} {{ '' | wordcount }} {{ 'abc' | center(9) }}| {{ 'abcd' | center(9) }}|
{{ [1, 2, 3] | sum }} {{ users | sum(attribute='age') }} {{ [[1], [2]] | sum(start=[]) }} {{ [1.5, 2] | sum }} {{ nothing | sum }} {{ [1] | sum(start=10) }}
{{ ['a'] | sum }}
{{ list | min }} {{ list | max }} {{ words | min }} {{ words | max }} {{ nothing | min }}| {{ users | max(attribute='age') }} {{ ['b', 'A'] | min }} {{ ['b', 'A'] | min(case_sensitive=true) }}
{{ '%s is %d' | format('a', 5) }} {{ '%(a)s' | format(a=1) }} {{ '%s' | format(none) }} {{ 'plain' | format }}
{{ '%s %r %d %5d|%-5d|%05d %+d %x %X %o' % ('a', 'b', 3, 42, 42, 42, 5, 255, 255, 8) }} {{ '%.2f %8.3f|%e %g %G' % (1.005, 2.5, 12345.678, 0.0001, 1e20) }} {{ '100%%' % () }} {{ '%s' % [1, 2] }} {{ '%(name)s is %(age)d' % users[0] }} {{ '%5s|%-5s|%.2s' % ('ab', 'ab', 'abc') }} {{ '%c%c' % ('x', 65) }} {{ '%d' % 3.9 }} {{ '%i%%' % 5 }} {{ '%s' % missing }}| {{ '%#x' % 255 }}
{{ '%d' % 'a' }}
{{ '%s %s' % 'a' }}
{{ 'a' % 'b' }}
{{ '%q' % 1 }}
{{ '%' % 1 }}
{{ '%(x)s' % d }}
{{ '%(x)s' % 1 }}
{{ '{} and {}'.format(1, 'b') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x}{{}}'.format(x=none) }}
{{ '{}'.format() }}
{{ '{'.format(1) }}
{{ 'a' is defined }} {{ missing is defined }} {{ missing is undefined }} {{ nil is none }} {{ missing is none }} {{ d.q is defined }} {{ users[9] is undefined }}
{{ 'a' is string }} {{ 1 is string }} {{ d is mapping }} {{ list is mapping }} {{ list is sequence }} {{ 'a' is sequence }} {{ d is sequence }} {{ 5 is sequence }} {{ missing is sequence }} {{ d.keys() is sequence }} {{ (list | select) is sequence }} {{ (1,) is sequence }}
{{ list is iterable }} {{ 'a' is iterable }} {{ 5 is iterable }} {{ none is iterable }} {{ missing is iterable }} {{ d is iterable }} {{ (list | select) is iterable }}
{{ 1 is number }} {{ 1.5 is number }} {{ true is number }} {{ '1' is number }} {{ 1 is integer }} {{ true is integer }} {{ 1.0 is integer }} {{ 1.0 is float }} {{ 1 is float }} {{ true is boolean }} {{ 1 is boolean }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }} {{ none is false }}
{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is in [1] }} {{ 'a' is in 'abc' }} {{ 2 is not in [1] }} {{ 1 is eq 1 }} {{ 1 is equalto 1.0 }} {{ 1 is ne 2 }} {{ 2 is gt 1 }} {{ 2 is ge(2) }} {{ 1 is lt 2 }} {{ 1 is le 0 }} {{ 2 is greaterthan 1 }} {{ 2 is lessthan 1 }} {{ 1 is == 1 }}
{{ 3 is odd }} {{ 3 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(2) }} {{ 1 is in [1] }} {{ 'a' is in 'abc' }} {{ 2 is not in [1] }} {{ 1 is eq 1 }} {{ 1 is equalto 1.0 }} {{ 1 is ne 2 }} {{ 2 is gt 1 }} {{ 2 is ge(2) }} {{ 1 is lt 2 }} {{ 1 is le 0 }}
{{ range is callable }} {{ 'a' is callable }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'Abc' is lower }} {{ '1' is upper }} {{ none is sameas none }} {{ 1 is sameas true }} {{ false is sameas false }} {{ missing is callable }}
{{ 'a' is odd }}
{{ missing is odd }}
{{ not missing is defined }} {{ missing is not defined }} {{ 'a' is string and 1 is number }} {{ 'a' is string or nope }} {{ 'x' if nil is none else 'y' }} {{ t is true and f is false }}
{{ '  a b '.strip() }}|{{ '  a b '.lstrip() }}|{{ '  a b '.rstrip() }}|{{ 'xyaxy'.strip('yx') }}|{{ '\x1c\u3000a\u2028\x85'.strip() }}|{{ 'a'.strip(none) }}|{{ '##a##'.lstrip('#') }}|{{ 'ééaé'.rstrip('é') }}|
{{ 'a b  c'.split() }} {{ ' a b '.split() }} {{ ''.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a b c'.split(none, 1) }} {{ 'a b c '.split(maxsplit=1) }} {{ ''.split(',') }} {{ 'abc'.split('bc') }} {{ 'a--b--c'.split('--')[-1] }} {{ ' a  b '.split(' ') }} {{ 'a b'.split(' ', 0) }} {{ 'a'.split(sep='b') }}
{{ 'a,b,c'.rsplit(',', 1) }} {{ 'a b c'.rsplit() }} {{ ' a b c '.rsplit(none, 1) }} {{ 'a b c'.rsplit(' ') }} {{ 'aaa'.rsplit('aa', 1) }}
{{ 'a'.split('') }}
{{ 'a'.split(1) }}
{{ 'a\nb\r\nc\n'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ ''.splitlines() }} {{ 'a\u2028b\x0bc\x1cd\x85e\rf'.splitlines() }}
{{ 'a=b=c'.partition('=') }} {{ 'abc'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.rpartition('=') }}
{{ 'hello'.startswith('he') }} {{ 'hello'.endswith('lo') }} {{ 'hello'.startswith(('x', 'h')) }} {{ 'hello'.endswith(()) }} {{ 'a'.startswith('') }}
{{ 'a'.startswith(1) }}
{{ 'hello'.startswith(['h']) }}
{{ 'aXb'.upper() }} {{ 'aXb'.lower() }} {{ 'hELLO wORLD'.title() }} {{ 'hELLO'.capitalize() }} {{ 'é'.upper() }} {{ 'ß'.upper() }} {{ 'ǆ'.title() }} {{ 'ß'.title() }}
{{ 'aaa'.replace('a', 'b') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ 'ab'.replace('', '-') }} {{ ''.replace('', 'x') }} {{ 'aaaa'.replace('aa', 'b') }} {{ 'ab'.replace('', '-', 2) }}
{{ 'a'.replace(1, 2) }}
{{ 'hello'.find('l') }} {{ 'hello'.find('z') }} {{ 'hello'.rfind('l') }} {{ 'é🙂x'.find('x') }} {{ 'hello'.index('e') }} {{ 'hello'.count('l') }} {{ 'aaa'.count('aa') }} {{ 'abc'.count('') }} {{ 'hello'.find('') }}
{{ 'hello'.index('z') }}
{{ ', '.join(['a', 'b']) }} {{ ''.join('abc') }} {{ '-'.join(d) }} {{ '-'.join(words | map('upper')) }} {{ ''.join([]) }}|
{{ ','.join([1]) }}
{{ 'abc'.removeprefix('ab') }} {{ 'abc'.removeprefix('x') }} {{ 'abc'.removesuffix('bc') }} {{ 'abc'.removesuffix('') }}
{{ '123'.isdigit() }} {{ ''.isdigit() }} {{ '1a'.isdigit() }} {{ 'ab'.isalpha() }} {{ 'é'.isalpha() }} {{ 'a1'.isalnum() }} {{ ' \t'.isspace() }} {{ ''.isspace() }} {{ 'AB'.isupper() }} {{ 'aB'.isupper() }} {{ 'ab1'.islower() }} {{ '1'.islower() }} {{ 'é'.isascii() }} {{ '٣'.isdigit() }}
{{ 'a'.ljust(3) }}|{{ 'a'.rjust(3, '*') }}|{{ 'a'.center(4) }}|{{ 'ab'.center(5, '-') }}|{{ '-5'.zfill(4) }}|{{ 'abc'.zfill(2) }}|
{{ d.get('a') }} {{ d.get('q') }} {{ d.get('q', 'z') }} {{ d.get('q') is none }} {{ d.keys() | list }} {{ d.values() | list }} {{ d.items() | list }} {{ d.copy() }} {{ 'a' in d.keys() }} {{ nodict.get('x', {}).get('y', 1) }}
{{ d.get() }}
{{ list.index(1) }} {{ list.count(3) }} {{ (1, 2, 1).count(1) }} {{ list.copy() }}
{{ list.index(9) }}
{{ list.append(4) }}
{% set a = list.append %}{{ a }}|
{{ d.update({'x': 1}) }}
{{ d.pop('a') }}
{{ d.append(1) }}
{{ nil.get('x') }}
{{ n.strip() }}
{{ list.strip() }}
{{ range(3) | list }} {{ range(1, 4) | list }} {{ range(10, 0, -3) | list }} {{ range(0) | list }} {% for i in range(3) %}{{ i }}{% endfor %} {{ 2 in range(3) }} {{ range(5)[2] }} {{ range(3) | length }}
{{ range(100001) | length }}
{{ range('a') }}
{{ range(1, 2, 0) }}
{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict([['k', 'v'], ('l', 1)]) }} {{ dict() }} {{ dict(a=1).a }}
{{ raise_exception('the message: é') }}
{% if f %}{{ raise_exception('no') }}{% endif %}fine{{ raise_exception is defined }}{{ strftime_now is defined }}
{{ strftime_now('%Y-%m-%d %H:%M:%S') }} {{ strftime_now('%d %b %Y') }} {{ strftime_now('%A, %B %-d, %Y') }} {{ strftime_now('%j %y %p %I %%') }}
{{ [1, 2, [3, {'a': 'é'}]] }} {{ {'a': {'b': ['c']}} | string }} {{ [missing] }} {{ [none, true] | string }}
{{ {'a': 1, 'a': 2} }} {{ {1: 'x', true: 'y', 1.0: 'z'} }} {{ {1: 'x'}[1.0] }} {{ {'k': 1}.k }} {{ {(1): 2} }}
{{ {[]: 1} }}
{{ [] | first is defined }} {{ users[0]['name'] ~ users[1].age }} {{ (users | first).name }} {{ users | length - 1 }} {{ users | length > 2 }} {{ -users | length }}
{{ users | length - 1 }} {{ users | length > 2 }} {{ (users | first).name }} {{ list | sort | first }} {{ 'a,b'.split(',') | map('upper') | join('+') }} {{ ('a' ~ 'b') | upper }} {{ 'a' ~ 'b' | upper }}
{{ not nothing }} {{ nothing is not none and nothing | length == 0 }} {{ (t if f else f) or 'x' }} {{ [1, 2][0] if t }} {{ 1 if 1 if 0 else 1 else 2 }}
{{ 1.5 // 0.5 }} {{ 7.0 // 2 }} {{ 2 ** 62 }} {{ 5 / 2.5 }} {{ 10 % 3.5 }} {{ 1e308 * 10 }} {{ 0.1 + 0.2 }} {{ 3.0 * 2 }} {{ 1 - 1.0 }}
{{ true and 1 }} {{ 1 == true }} {{ 'true' == true }} {{ True }} {{ None }} {{ False or none }}
{{ users | tojson }}{{ d.a | tojson }}{{ words[1:] | tojson }}
{% for u in users | selectattr('tags', 'defined') | sort(attribute='name') %}{{ loop.index }}:{{ u.name }}{% if not loop.last %}, {% endif %}{% endfor %}
{% for key in tool.function.parameters.properties %}{{ key }}: {{ tool.function.parameters.properties[key].type }}{% endfor %}
{% set ns = namespace(last=-1) %}{% for u in users %}{% if u.age == 30 %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}{{ ns.last }}
{% for i in range(3) %}{% for j in range(i) %}{{ i }}{{ j }} {% endfor %}{% endfor %}
{% set content = '<think>a</think>\n\nb' %}{% if '</think>' in content %}{{ content.split('</think>')[-1].lstrip('\n') }}|{{ content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') }}{% endif %}
{% set x = [] %}{% set _ = x.append(1) %}{{ x }}
{{ 'x' * 3 ~ '-' }}{{ '=' * 10 }}
'''


def snippets():
    """One on each line."""
    return [line for line in SNIPPETS.strip("\n").split("\n") if line]


# Where line ends matter.
BLOCKS = [
    "line\n  {% if t %}\n  yes\n  {% endif %}\nend\n",
    "{% if t %}   \nx\n{% endif %}\n",
    "a  {%+ if t +%}\n  b {%+ endif %}\nc",
    "a\n   {%+ if t %}b{% endif %}\n",
    "\t{% if t %}tab{% endif %}\nx  {% if t %}not at line begin{% endif %}\n",
    "{{ name -}}   \n   next {{- name }}  \n  {{- name -}}  .\n",
    "{% for i in [1, 2] -%}\n  {{ i }}\n{%- endfor %}\n\n{% for i in [1, 2] %}\n  - {{ i }}\n{% endfor %}\nend",
    "{%- set a = 1 %}\n{%- set b = 2 -%}\n\n{{ a }}{{ b }}\n\n\n",
    "{# c #}\n{# c -#}\n   x\n  {#- c #}  y\n",
    "  {# c #}  \n  {# c +#}\n z{#- c +#}\n",
    "{%- for m in [1, 2] %}{{ m }}\n{% endfor %}last\n\n",
    "  {% if t %}{% if t %}\n  two\n  {% endif %}{% endif %}\n",
    "{% macro m(a) -%}\n   {{ a }}\n{%- endmacro %}[{{ m('x') }}]",
    "{% raw %}\n{{ not }}\n{% endraw %}\n{{ name }}\n",
    "  {% raw %}  a\n  {% endraw %}  b\n",
    "a {%- raw -%}  {{ b }}  {%- endraw -%}  c",
    "a\n  {% raw +%}x{% endraw +%}\nb",
    "{# multi\nline #}b{#- c -#} d {#+ e +#} f",
    "a\r\n  {% if t %}\r\nb\r\n{% endif %}\rc\r\n",
    "{{ 'a\\\nb' }}{{ \"multi\nline\" }}{{ '\\n' }}.",
    "{{ name\n  | upper }}{{\n  n + 1\n}}",
    "{%- if t -%}a{%- endif %} b {% if t %} c {% endif %} d\n  {%- if t %}\n\n  x\n  {%- endif %}\n\ny",
    "\n\n{% if t %}a{% endif %}\n\n", "\n", "\n\n", "", "  ", "{{ name }}\n", "{{ name }}\n\n", " {{ name }} ", "{{- name -}}",
    "   {{ name }}\n  {{- name }}", "   {% set a = 1 %}   \n  x", "\u3000{% if t %}ideographic space{% endif %}\n\u00a0{% if t %}{% endif %}",
    "{% if t %}\n\nx{% endif %}", "{% if t -%}\n\n  x\n\n{%- endif %}\n", "x{% if t %}\n{% endif %}y\n  {%- if t +%}\n{% endif %}",
    "{% for i in list %}\n{{ i }}\n{% endfor %}", "{% for i in list %}\n  {{ i }}\n  {% endfor %}\n", "a{%-\nif t\n-%}b{%\nendif\n%}c",
    "{{ 1 }}{% if t %} {% endif %}{{ 2 }}", "{%if t%}x{%endif%}{{name}}{#c#}", "{{-1}}|{{ -1 }}|{{+1}}", "{{ '{{' }}{{ '{%' }}{{ '#}' }}", "{ { % } # }{", "{%- endraw", "{", "{{", "{{ name", "{% if t %}", "{# a",
    "{% set a %}\n  text\n{% endset %}\n[{{ a }}]\n", "{% set a -%}\n  text\n{%- endset %}\n[{{ a }}]\n", "{% generation %}\n x\n{% endgeneration %}\ny",
    "{%- macro t(a) %}\n  {{- a }}\n{%- endmacro %}\n{{- t('x') }}", "{% filter upper %}\n a\n{% endfilter %}\n",
    "{% if t %}{{ name }}{% else %}\n{% endif %}\n\n\nend\n\n",
    "{# a #} {# b #}\n{# c #}  x", "{% raw %}{% raw %}{% endraw %}", "{%raw%}{{x}}{%endraw%}\n\n", "{% raw -%}\n  x\n{%- endraw -%}\n  y",
]
