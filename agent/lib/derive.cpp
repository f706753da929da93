// SPDX-License-Identifier: GPL-2.0-only
#include "lib/derive.hpp"

#include "lib/role.hpp"
#include "lib/size.hpp"

#include <algorithm>
#include <map>

namespace itme {

namespace {

// An embedding is looked up by rows. It is cut into pieces of about this size,
// of which a token reads one: what one miss fetches at most.
constexpr uint64_t lookup_piece_bytes = 2ULL << 20;
constexpr uint32_t most_experts = 1 << 16;
// Of a schedule; a TiB of small experts needs a tenth. A small header can ask
// for very many: experts of every layer, of one byte each.
constexpr uint64_t most_parts = 1 << 21;
constexpr double most_parameters = 1e18;
constexpr uint32_t assumed_experts_used = 8;

struct Item {
	const Tensor *tensor;
	Role role;
};

std::string count_of(size_t count, const char *what)
{
	return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

class Derivation {
public:
	Derivation(const Model &from, const DeriveOptions &with) : model(from), options(with) {}

	Result<Schedule> run()
	{
		sort_tensors();
		if (layers.empty() && start.empty() && finish.empty())
			return fail(model.name + ": no tensor that decoding would read");
		if (auto done = describe(); !done)
			return std::unexpected(done.error());
		program.name = "decode";
		if (auto done = ends(start); !done)
			return std::unexpected(done.error());
		for (auto &[number, items] : layers) {
			if (auto done = layer(number, items); !done)
				return std::unexpected(done.error());
		}
		if (auto done = ends(finish); !done)
			return std::unexpected(done.error());
		output_of_tied();
		count_parameters();
		schedule.programs.push_back(std::move(program));
		schedule.streams.push_back({"decode", 0, 1});
		note_leftovers();
		if (const auto wrong = check(schedule))
			return fail(model.name + ": " + *wrong);
		return std::move(schedule);
	}

private:
	void sort_tensors()
	{
		known = known_architecture(model.facts.architecture);
		uint64_t top = 0;

		for (const Tensor &tensor : model.tensors) {
			const Role role = role_of(tensor.name);

			if (tensor.bytes == 0)
				continue;
			if (role.place == Place::layer)
				top = std::max<uint64_t>(top, role.layer + 1ULL);
			place({&tensor, role});
		}
		if (model.facts.layers != 0)
			top = model.facts.layers;
		// Extra layers for speculation lie at the end: counted among the layers
		// by some formats, behind them in others.
		const uint64_t used = top - std::min(top, model.unused_layers);

		for (auto at = layers.lower_bound(static_cast<uint32_t>(used)); at != layers.end();
		     at = layers.erase(at)) {
			for (const Item &item : at->second)
				leave_aside(item);
		}
	}
	void place(const Item &item)
	{
		switch (item.role.place) {
		case Place::start:
			start.push_back(item);
			break;
		case Place::layer:
			layers[item.role.layer].push_back(item);
			break;
		case Place::finish:
			finish.push_back(item);
			break;
		case Place::aside:
			leave_aside(item);
			return;
		}
		if (!item.role.known)
			strangers.push_back(item.tensor->name);
	}
	void leave_aside(const Item &item)
	{
		aside++;
		aside_bytes += item.tensor->bytes;
	}

	Result<void> describe()
	{
		schedule.name = model.name;
		schedule.model = model.facts;
		schedule.notes = model.notes;
		if (schedule.model.layers == 0)
			schedule.model.layers = layers.size();
		if (!known) {
			schedule.notes.push_back(
				(model.facts.architecture.empty()
					 ? "the architecture is not said"
					 : "architecture '" + model.facts.architecture +
						   "' is not known") +
				std::string(": layers in the order of their numbers, the tensors "
					    "of a layer in the order of the file"));
		}
		for (const ModelFile &file : model.files)
			schedule.regions.push_back({file.name, file.name, file.bytes});
		return options.context_tokens == 0 ? Result<void>{} : describe_kv();
	}
	Result<void> describe_kv()
	{
		uint64_t all;

		if (model.facts.kv_bytes_per_token == 0 || layers.empty()) {
			schedule.notes.emplace_back(
				"the headers do not say how large a token's KV is: left out");
			return {};
		}
		if (!multiply(model.facts.kv_bytes_per_token / schedule.model.layers,
			      options.context_tokens, kv_layer_bytes) ||
		    !multiply(kv_layer_bytes, layers.size(), all))
			return fail("a context of " + std::to_string(options.context_tokens) +
				    " tokens is too large");
		kv_region = static_cast<uint32_t>(schedule.regions.size());
		schedule.regions.push_back({"kv", "", all});
		return {};
	}

	// Order of execution. A tensor whose role is not known stays behind the one
	// that it follows in the file; if nothing is known, all stay where they are.
	void sort(std::vector<Item> &items) const
	{
		const Role *before = nullptr;

		if (!known)
			return;
		for (Item &item : items) {
			if (!item.role.known && before != nullptr) {
				item.role.phase = before->phase;
				item.role.rank = before->rank;
			}
			before = &item.role;
		}
		std::stable_sort(items.begin(), items.end(), [](const Item &a, const Item &b) {
			return std::pair(a.role.phase, a.role.rank) <
			       std::pair(b.role.phase, b.role.rank);
		});
	}

	uint32_t add_object(Object object)
	{
		schedule.objects.push_back(std::move(object));
		return static_cast<uint32_t>(schedule.objects.size() - 1);
	}
	Result<void> room_for(uint64_t more)
	{
		parts += more;
		if (parts > most_parts)
			return fail(model.name + ": more than " + std::to_string(most_parts) +
				    " experts' tensors and pieces of embeddings");
		return {};
	}
	static double flops_of(const Tensor &tensor)
	{
		return tensor.shape.size() < 2 ? 0 : 2.0 * static_cast<double>(tensor.elements);
	}
	uint32_t whole(const Item &item)
	{
		const Tensor &t = *item.tensor;
		const auto found = whole_objects.find(t.name);

		if (found != whole_objects.end())
			return found->second;
		const uint32_t object =
			add_object({t.name, Kind::weight, {{t.file, t.offset, t.bytes}}});

		whole_objects.emplace(t.name, object);
		return object;
	}

	Result<void> ends(std::vector<Item> &items)
	{
		sort(items);
		Step rest;

		for (const Item &item : items) {
			if (item.role.embedding && !item.tensor->name.ends_with(".bias"))
				embedding = item;
			if (item.role.output)
				has_output = true;
			if (item.role.lookup && item.tensor->shape.size() > 1) {
				if (auto done = lookup(item); !done)
					return done;
				continue;
			}
			rest.name = item.role.place == Place::start ? "start" : "output";
			rest.objects.push_back(whole(item));
			rest.flops_per_token += flops_of(*item.tensor);
		}
		if (!rest.objects.empty())
			program.steps.push_back(std::move(rest));
		return {};
	}

	Result<void> lookup(const Item &item)
	{
		const Tensor &t = *item.tensor;
		const uint64_t rows = t.rows(), row_bytes = t.bytes / rows;
		const uint64_t piece_rows = std::clamp<uint64_t>(
			lookup_piece_bytes / std::max<uint64_t>(1, row_bytes), 1, rows);
		Group group{t.name + ".rows", {}, {}};

		if (auto room = room_for(rows / piece_rows + 1); !room)
			return room;
		for (uint64_t row = 0; row < rows; row += piece_rows) {
			const uint64_t count = std::min(piece_rows, rows - row);
			const uint64_t end =
				row + count == rows ? t.bytes : (row + count) * row_bytes;

			group.objects.push_back(add_object(
				{t.name + ".rows." + std::to_string(row),
				 Kind::weight,
				 {{t.file, t.offset + row * row_bytes, end - row * row_bytes}}}));
		}
		choice(std::move(group), 1, 0);
		return {};
	}

	void choice(Group group, uint32_t pick, double flops)
	{
		Step step;

		step.name = group.name;
		step.group = static_cast<uint32_t>(schedule.groups.size());
		step.pick = pick;
		step.flops_per_token = flops;
		schedule.groups.push_back(std::move(group));
		program.steps.push_back(std::move(step));
	}

	Result<void> layer(uint32_t number, std::vector<Item> &items)
	{
		static constexpr const char *phase_names[] = {"mixer", "ffn", "router", "experts",
							      "shared"};
		const std::string prefix = "blk." + std::to_string(number) + ".";
		std::vector<Item> experts;
		std::vector<Step> before, after;
		bool seen_experts = false;

		sort(items);
		for (const Item &item : items) {
			if (item.role.phase == Phase::experts) {
				experts.push_back(item);
				seen_experts = true;
				continue;
			}
			auto &steps = seen_experts ? after : before;
			const std::string name =
				prefix + (known ? phase_names[static_cast<size_t>(item.role.phase)]
						: "layer");

			if (steps.empty() || steps.back().name != name) {
				steps.emplace_back();
				steps.back().name = name;
			}
			steps.back().objects.push_back(whole(item));
			steps.back().flops_per_token += flops_of(*item.tensor);
		}
		if (kv_layer_bytes != 0)
			add_kv(number, before);
		std::move(before.begin(), before.end(), std::back_inserter(program.steps));
		if (!experts.empty()) {
			if (auto done = add_experts(prefix, experts); !done)
				return done;
		}
		std::move(after.begin(), after.end(), std::back_inserter(program.steps));
		return {};
	}

	void add_kv(uint32_t number, std::vector<Step> &steps)
	{
		const auto ordinal =
			static_cast<uint64_t>(std::distance(layers.begin(), layers.find(number)));
		const uint32_t object =
			add_object({"kv." + std::to_string(number),
				    Kind::kv,
				    {{kv_region, ordinal * kv_layer_bytes, kv_layer_bytes}}});

		if (steps.empty()) {
			steps.emplace_back();
			steps.back().name = "blk." + std::to_string(number) + ".mixer";
		}
		steps.front().objects.push_back(object);
	}

	Result<void> add_experts(const std::string &prefix, const std::vector<Item> &items)
	{
		std::map<uint32_t, Object> experts;
		double elements = 0;
		const auto count = expert_count(items);

		if (!count)
			return std::unexpected(count.error());
		for (const Item &item : items) {
			const Tensor &t = *item.tensor;

			if (auto room = room_for(item.role.expert ? 1 : *count); !room)
				return room;
			if (item.role.expert) {
				experts[*item.role.expert].extents.push_back(
					{t.file, t.offset, t.bytes});
				elements += flops_of(t) / 2;
				continue;
			}
			if (t.rows() != *count || t.bytes % *count != 0) {
				// One for all experts, such as a scale: read with whichever is
				// chosen.
				for (uint32_t e = 0; e < *count; e++)
					experts[e].extents.push_back({t.file, t.offset, t.bytes});
				continue;
			}
			for (uint32_t e = 0; e < *count; e++)
				experts[e].extents.push_back({t.file,
							      t.offset + t.bytes / *count * e,
							      t.bytes / *count});
			elements += flops_of(t) / 2;
		}
		const auto used =
			static_cast<uint32_t>(std::min<uint64_t>(experts_used(), experts.size()));
		Group group{prefix + "experts", {}, {}};

		for (auto &[number, object] : experts) {
			object.name = prefix + "expert." + std::to_string(number);
			object.kind = Kind::expert;
			group.objects.push_back(add_object(std::move(object)));
		}
		const double each = elements / static_cast<double>(experts.size());

		expert_elements += elements;
		active_expert_elements += each * used;
		choice(std::move(group), used, 2 * each * used);
		return {};
	}
	Result<uint32_t> expert_count(const std::vector<Item> &items) const
	{
		uint64_t count = model.facts.experts;

		for (const Item &item : items) {
			if (item.role.expert)
				count = std::max<uint64_t>(count, *item.role.expert + 1ULL);
			else if (count == 0)
				count = item.tensor->rows();
		}
		if (count == 0 || count > most_experts)
			return fail(items.front().tensor->name + ": " + std::to_string(count) +
				    " experts");
		return static_cast<uint32_t>(count);
	}
	uint64_t experts_used()
	{
		if (options.experts_used != 0)
			return options.experts_used;
		if (model.facts.experts_used != 0)
			return model.facts.experts_used;
		if (schedule.model.experts_used == 0) {
			schedule.model.experts_used = assumed_experts_used;
			schedule.notes.push_back("how many experts a token uses is not said: " +
						 std::to_string(assumed_experts_used) + " assumed");
		}
		return schedule.model.experts_used;
	}

	void output_of_tied()
	{
		if (has_output || !embedding)
			return;
		if (!model.tied && model.format == Format::safetensors)
			schedule.notes.emplace_back(
				"no output projection: taken to be the embedding");
		Step step;

		step.name = "tied output";
		step.objects.push_back(whole(*embedding));
		step.flops_per_token = flops_of(*embedding->tensor);
		program.steps.push_back(std::move(step));
	}

	// What only a lookup reads is no arithmetic and no active parameter.
	void count_parameters()
	{
		double all = 0, active = 0;

		for (const Step &step : program.steps)
			active += step.flops_per_token / 2;
		all = active - active_expert_elements + expert_elements;
		for (const Item &item : start) {
			if (item.role.lookup && (has_output || !item.role.embedding))
				all += static_cast<double>(item.tensor->elements);
		}
		schedule.model.parameters = static_cast<uint64_t>(std::min(all, most_parameters));
		schedule.model.active_parameters =
			static_cast<uint64_t>(std::min(active, most_parameters));
		if (options.experts_used != 0)
			schedule.model.experts_used = options.experts_used;
	}

	void note_leftovers()
	{
		if (aside != 0) {
			schedule.notes.push_back(
				count_of(aside, "tensor") + " (" + format_size(aside_bytes) +
				") of parts that plain decoding does not run are left out");
		}
		if (known && !strangers.empty()) {
			schedule.notes.push_back(count_of(strangers.size(), "tensor") +
						 " of a role that is not known, placed by the "
						 "order of the file; the first is '" +
						 strangers.front() + "'");
		}
	}

	const Model &model;
	const DeriveOptions &options;
	Schedule schedule;
	Program program;
	bool known = false, has_output = false;
	std::vector<Item> start, finish;
	std::map<uint32_t, std::vector<Item>> layers;
	std::optional<Item> embedding;
	std::map<std::string_view, uint32_t> whole_objects;
	std::vector<std::string> strangers;
	size_t aside = 0;
	uint64_t aside_bytes = 0, kv_layer_bytes = 0, parts = 0;
	uint32_t kv_region = 0;
	double expert_elements = 0, active_expert_elements = 0;
};

} // namespace

Result<Schedule> derive(const Model &model, const DeriveOptions &options)
{
	return Derivation(model, options).run();
}

} // namespace itme
