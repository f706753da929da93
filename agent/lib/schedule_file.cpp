// SPDX-License-Identifier: GPL-2.0-only
// The schedule file, *.itme.json: read strictly, written one thing a line.
#include "lib/json_tree.hpp"
#include "lib/schedule.hpp"

#include <functional>
#include <nlohmann/json.hpp>
#include <unordered_map>

namespace itme {

namespace {

constexpr size_t most_name = 4096;
constexpr uint32_t most_pick = 1 << 16;
constexpr uint64_t most_compute_ns = 1'000'000'000'000'000; // eleven days
constexpr double most_flops = 1e30;
constexpr double most_weight = 1e9;

using Done = Parsed<void>;
using Names = std::unordered_map<std::string_view, uint32_t>;

// What an object of the file may hold: each key once, no other, in any order.
struct Field {
	std::string_view key;
	bool required;
	std::function<Done(JsonValue)> take;
};

Done read_fields(JsonValue value, std::string_view what, std::initializer_list<Field> fields)
{
	const auto object = value.object(what);
	uint64_t found = 0;

	if (!object)
		return std::unexpected(object.error());
	for (const JsonValue member : *object) {
		uint64_t bit = 1;
		bool known = false;

		for (const Field &field : fields) {
			if (field.key == member.key()) {
				if (auto done = field.take(member); !done)
					return done;
				found |= bit;
				known = true;
			}
			bit <<= 1;
		}
		if (!known)
			return refuse(member.offset(),
				      std::string(what) + " has a key that is not known");
	}
	for (uint64_t bit = 1; const Field &field : fields) {
		if (field.required && (found & bit) == 0)
			return refuse(value.offset(), std::string(what) + " lacks '" +
							      std::string(field.key) + "'");
		bit <<= 1;
	}
	return {};
}

template <typename T, typename U> Done put(Parsed<T> from, U &into)
{
	if (!from)
		return std::unexpected(from.error());
	into = static_cast<U>(*from);
	return {};
}

Done put_name(JsonValue value, std::string_view what, std::string &into)
{
	const auto text = value.text(what);

	if (!text)
		return std::unexpected(text.error());
	if (text->empty() || text->size() > most_name)
		return refuse(value.offset(), std::string(what) + " is empty or too long");
	into = *text;
	return {};
}

Done each(JsonValue value, std::string_view what, const std::function<Done(JsonValue)> &take)
{
	const auto list = value.array(what);

	if (!list)
		return std::unexpected(list.error());
	for (const JsonValue entry : *list) {
		if (auto done = take(entry); !done)
			return done;
	}
	return {};
}

template <typename T> Names names_of(const std::vector<T> &things)
{
	Names names;

	for (const T &thing : things)
		names.emplace(thing.name, static_cast<uint32_t>(names.size()));
	return names;
}

Done put_reference(JsonValue value, std::string_view what, const Names &names, uint32_t &into)
{
	const auto text = value.text(what);

	if (!text)
		return std::unexpected(text.error());
	const auto found = names.find(*text);

	if (found == names.end())
		return refuse(value.offset(),
			      std::string(what) + " names something that is not declared");
	into = found->second;
	return {};
}

class Reader {
public:
	Parsed<Schedule> run(JsonValue root)
	{
		if (auto done = top(root); !done)
			return std::unexpected(done.error());
		// References are by name, so what is named is read before what names it.
		object_names = names_of(schedule.objects);
		if (auto done = each(groups, "groups", [this](JsonValue v) { return group(v); });
		    !done)
			return std::unexpected(done.error());
		group_names = names_of(schedule.groups);
		if (auto done =
			    each(programs, "programs", [this](JsonValue v) { return program(v); });
		    !done)
			return std::unexpected(done.error());
		program_names = names_of(schedule.programs);
		if (auto done = each(streams, "streams", [this](JsonValue v) { return stream(v); });
		    !done)
			return std::unexpected(done.error());
		if (const auto wrong = check(schedule))
			return refuse(root.offset(), *wrong);
		return std::move(schedule);
	}

	explicit Reader(JsonValue root) : groups(root), programs(root), streams(root) {}

private:
	static Done keep(JsonValue value, JsonValue &into)
	{
		into = value;
		return {};
	}
	Done top(JsonValue root)
	{
		return read_fields(
			root, "the schedule",
			{
				{"itme_schedule", true, [](JsonValue v) { return version(v); }},
				{"name", true,
				 [this](JsonValue v) {
					 return put_name(v, "name", schedule.name);
				 }},
				{"model", false, [this](JsonValue v) { return model(v); }},
				{"notes", false,
				 [this](JsonValue v) {
					 return each(v, "notes",
						     [this](JsonValue n) { return note(n); });
				 }},
				{"regions", true,
				 [this](JsonValue v) {
					 return each(v, "regions",
						     [this](JsonValue r) { return region(r); });
				 }},
				{"objects", true,
				 [this](JsonValue v) {
					 return each(v, "objects",
						     [this](JsonValue o) { return object(o); });
				 }},
				{"groups", true, [this](JsonValue v) { return keep(v, groups); }},
				{"programs", true,
				 [this](JsonValue v) { return keep(v, programs); }},
				{"streams", true, [this](JsonValue v) { return keep(v, streams); }},
			});
	}
	static Done version(JsonValue value)
	{
		const auto number = value.number("itme_schedule");

		if (!number)
			return std::unexpected(number.error());
		if (*number != Schedule::version)
			return refuse(value.offset(), "version " + std::to_string(*number) +
							      " of the schedule file, known is " +
							      std::to_string(Schedule::version));
		return {};
	}
	Done note(JsonValue value)
	{
		schedule.notes.emplace_back();
		return put_name(value, "a note", schedule.notes.back());
	}
	Done model(JsonValue value)
	{
		ModelFacts &m = schedule.model;
		auto number = [](uint64_t &into) {
			return [&into](JsonValue v) {
				return put(v.number(v.key(), 1ULL << 62), into);
			};
		};

		return read_fields(
			value, "model",
			{
				{"architecture", false,
				 [&m](JsonValue v) {
					 return put(v.text("architecture"), m.architecture);
				 }},
				{"layers", false, number(m.layers)},
				{"experts", false, number(m.experts)},
				{"experts_used", false, number(m.experts_used)},
				{"parameters", false, number(m.parameters)},
				{"active_parameters", false, number(m.active_parameters)},
				{"kv_bytes_per_token", false, number(m.kv_bytes_per_token)},
			});
	}
	Done region(JsonValue value)
	{
		DeclaredRegion &r = schedule.regions.emplace_back();

		return read_fields(value, "a region",
				   {
					   {"name", true,
					    [&r](JsonValue v) {
						    return put_name(v, "a region's name", r.name);
					    }},
					   {"file", false,
					    [&r](JsonValue v) {
						    return put_name(v, "a region's file", r.file);
					    }},
					   {"bytes", true,
					    [&r](JsonValue v) {
						    return put(v.number("a region's bytes"),
							       r.bytes);
					    }},
				   });
	}
	Done object(JsonValue value)
	{
		Object &o = schedule.objects.emplace_back();

		return read_fields(
			value, "an object",
			{
				{"name", true,
				 [&o](JsonValue v) {
					 return put_name(v, "an object's name", o.name);
				 }},
				{"kind", false, [&o](JsonValue v) { return kind(v, o.kind); }},
				{"extents", true,
				 [&o](JsonValue v) {
					 return each(v, "extents",
						     [&o](JsonValue e) { return extent(e, o); });
				 }},
			});
	}
	static Done kind(JsonValue value, Kind &into)
	{
		const auto text = value.text("kind");

		if (!text)
			return std::unexpected(text.error());
		for (const Kind k :
		     {Kind::weight, Kind::expert, Kind::kv, Kind::state, Kind::scratch}) {
			if (kind_name(k) == *text) {
				into = k;
				return {};
			}
		}
		return refuse(value.offset(), "a kind that is not known");
	}
	static Done extent(JsonValue value, Object &o)
	{
		uint64_t numbers[3] = {};
		size_t count = 0;
		const auto list = value.array("an extent");

		if (!list)
			return std::unexpected(list.error());
		if (list->size() != 3)
			return refuse(value.offset(), "an extent is [region, offset, bytes]");
		for (const JsonValue entry : *list) {
			if (auto done = put(
				    entry.number("an extent", count == 0 ? UINT32_MAX : UINT64_MAX),
				    numbers[count]);
			    !done)
				return done;
			count++;
		}
		o.extents.push_back({static_cast<uint32_t>(numbers[0]), numbers[1], numbers[2]});
		return {};
	}
	Done references(JsonValue value, std::vector<uint32_t> &into)
	{
		return each(value, "a list of objects", [&](JsonValue v) {
			return put_reference(v, "a list of objects", object_names,
					     into.emplace_back());
		});
	}
	Done group(JsonValue value)
	{
		Group &g = schedule.groups.emplace_back();

		return read_fields(
			value, "a group",
			{
				{"name", true,
				 [&g](JsonValue v) {
					 return put_name(v, "a group's name", g.name);
				 }},
				{"objects", true,
				 [&g, this](JsonValue v) { return references(v, g.objects); }},
				{"popularity", false,
				 [&g](JsonValue v) {
					 return each(v, "popularity", [&g](JsonValue p) {
						 return put(p.real("popularity", 0, most_weight),
							    g.popularity.emplace_back());
					 });
				 }},
			});
	}
	Done program(JsonValue value)
	{
		Program &p = schedule.programs.emplace_back();

		return read_fields(
			value, "a program",
			{
				{"name", true,
				 [&p](JsonValue v) {
					 return put_name(v, "a program's name", p.name);
				 }},
				{"cyclic", true,
				 [&p](JsonValue v) { return put(v.boolean("cyclic"), p.cyclic); }},
				{"steps", true,
				 [&p, this](JsonValue v) {
					 return each(v, "steps", [&p, this](JsonValue s) {
						 return step(s, p.steps.emplace_back());
					 });
				 }},
			});
	}
	Done step(JsonValue value, Step &s)
	{
		uint32_t group = 0;
		auto done = read_fields(
			value, "a step",
			{
				{"name", true,
				 [&s](JsonValue v) {
					 return put_name(v, "a step's name", s.name);
				 }},
				{"read", false,
				 [&s, this](JsonValue v) { return references(v, s.objects); }},
				{"choice", false,
				 [&, this](JsonValue v) {
					 s.group = 0;
					 return put_reference(v, "choice", group_names, group);
				 }},
				{"pick", false,
				 [&s](JsonValue v) {
					 return put(v.number("pick", most_pick), s.pick);
				 }},
				{"reads", false,
				 [&s](JsonValue v) {
					 return put(v.number("reads", most_pick), s.reads);
				 }},
				{"compute_ns", false,
				 [&s](JsonValue v) {
					 return put(v.number("compute_ns", most_compute_ns),
						    s.compute_ns.emplace());
				 }},
				{"flops_per_token", false,
				 [&s](JsonValue v) {
					 return put(v.real("flops_per_token", 0, most_flops),
						    s.flops_per_token);
				 }},
			});

		if (done && s.group)
			s.group = group;
		return done;
	}
	Done stream(JsonValue value)
	{
		Stream &s = schedule.streams.emplace_back();

		return read_fields(value, "a stream",
				   {
					   {"name", true,
					    [&s](JsonValue v) {
						    return put_name(v, "a stream's name", s.name);
					    }},
					   {"program", true,
					    [&s, this](JsonValue v) {
						    return put_reference(v, "program",
									 program_names, s.program);
					    }},
					   {"weight", false,
					    [&s](JsonValue v) {
						    return put(v.real("weight", 0, most_weight),
							       s.weight);
					    }},
				   });
	}

	Schedule schedule;
	JsonValue groups, programs, streams;
	Names object_names, group_names, program_names;
};

using Json = nlohmann::ordered_json;

// Names come from files of others: what is not UTF-8 is replaced, not thrown.
std::string line_of(const Json &json)
{
	return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename T, typename F>
void write_list(std::string &out, std::string_view key, const std::vector<T> &things, F json_of)
{
	out += ",\n  \"" + std::string(key) + "\": [";
	for (size_t i = 0; i < things.size(); i++) {
		out += i == 0 ? "\n    " : ",\n    ";
		out += line_of(json_of(things[i]));
	}
	out += things.empty() ? "]" : "\n  ]";
}

Json names(const Schedule &schedule, const std::vector<uint32_t> &objects)
{
	Json list = Json::array();

	for (const uint32_t object : objects)
		list.push_back(schedule.objects[object].name);
	return list;
}

Json json_of_object(const Object &object)
{
	Json json = {{"name", object.name},
		     {"kind", kind_name(object.kind)},
		     {"extents", Json::array()}};

	for (const Extent &extent : object.extents)
		json["extents"].push_back({extent.region, extent.offset, extent.bytes});
	return json;
}

Json json_of_group(const Schedule &schedule, const Group &group)
{
	Json json = {{"name", group.name}, {"objects", names(schedule, group.objects)}};

	if (!group.popularity.empty())
		json["popularity"] = group.popularity;
	return json;
}

Json json_of_step(const Schedule &schedule, const Step &step)
{
	Json json = {{"name", step.name}};

	if (step.group) {
		json["choice"] = schedule.groups[*step.group].name;
		json["pick"] = step.pick;
	} else {
		json["read"] = names(schedule, step.objects);
	}
	if (step.reads != 1)
		json["reads"] = step.reads;
	if (step.compute_ns)
		json["compute_ns"] = *step.compute_ns;
	if (step.flops_per_token > 0)
		json["flops_per_token"] = step.flops_per_token;
	return json;
}

Json json_of_model(const ModelFacts &model)
{
	return {{"architecture", model.architecture},
		{"layers", model.layers},
		{"experts", model.experts},
		{"experts_used", model.experts_used},
		{"parameters", model.parameters},
		{"active_parameters", model.active_parameters},
		{"kv_bytes_per_token", model.kv_bytes_per_token}};
}

void write_program(std::string &out, const Schedule &schedule, const Program &program)
{
	out += "\n    {\"name\": " + line_of(program.name) +
	       ", \"cyclic\": " + (program.cyclic ? "true" : "false") + ", \"steps\": [";
	for (size_t i = 0; i < program.steps.size(); i++)
		out += (i == 0 ? "\n      " : ",\n      ") +
		       line_of(json_of_step(schedule, program.steps[i]));
	out += "\n    ]}";
}

} // namespace

Parsed<Schedule> parse_schedule(std::string_view text)
{
	const auto tree = JsonTree::parse(text, {.depth = 8});

	if (!tree)
		return std::unexpected(tree.error());
	return Reader(tree->root()).run(tree->root());
}

std::string schedule_text(const Schedule &schedule)
{
	std::string out = "{\n  \"itme_schedule\": " + std::to_string(Schedule::version) +
			  ",\n  \"name\": " + line_of(schedule.name) +
			  ",\n  \"model\": " + line_of(json_of_model(schedule.model));

	write_list(out, "notes", schedule.notes,
		   [](const std::string &note) { return Json(note); });
	write_list(out, "regions", schedule.regions, [](const DeclaredRegion &region) {
		Json json = {{"name", region.name}};

		if (!region.file.empty())
			json["file"] = region.file;
		json["bytes"] = region.bytes;
		return json;
	});
	write_list(out, "objects", schedule.objects, json_of_object);
	write_list(out, "groups", schedule.groups,
		   [&](const Group &group) { return json_of_group(schedule, group); });
	out += ",\n  \"programs\": [";
	for (size_t i = 0; i < schedule.programs.size(); i++) {
		out += i == 0 ? "" : ",";
		write_program(out, schedule, schedule.programs[i]);
	}
	out += "\n  ]";
	write_list(out, "streams", schedule.streams, [&](const Stream &stream) {
		return Json{{"name", stream.name},
			    {"program", schedule.programs[stream.program].name},
			    {"weight", stream.weight}};
	});
	return out + "\n}\n";
}

} // namespace itme
