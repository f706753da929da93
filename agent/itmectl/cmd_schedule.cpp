// SPDX-License-Identifier: GPL-2.0-only
// itmectl schedule: what a model's headers say will be read, and in which order.
#include "itmectl/command.hpp"
#include "itmectl/schedule_source.hpp"
#include "lib/size.hpp"
#include "lib/table.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <memory>

namespace itme {

namespace {

struct Options {
	std::string file, output;
	uint64_t context = 0;
	uint32_t experts_used = 0;
	bool json = false;
};

uint64_t bytes_of(const Schedule &schedule, const std::vector<uint32_t> &objects)
{
	uint64_t sum = 0;

	for (const uint32_t object : objects)
		sum += schedule.objects[object].bytes();
	return sum;
}

void show_program(const Schedule &schedule, const Program &program, std::ostream &out)
{
	Table table({">POSITION", "STEP", "READS", ">BYTES"});

	for (size_t i = 0; i < program.steps.size(); i++) {
		const Step &step = program.steps[i];

		if (!step.group) {
			table.add({std::to_string(i), printable(step.name),
				   std::to_string(step.objects.size()) + " objects",
				   format_size(bytes_of(schedule, step.objects))});
			continue;
		}
		const Group &group = schedule.groups[*step.group];
		const uint64_t all = bytes_of(schedule, group.objects);

		table.add({std::to_string(i), printable(step.name),
			   "choice: " + std::to_string(step.pick) + " of " +
				   std::to_string(group.objects.size()),
			   format_size(all / group.objects.size() * step.pick)});
	}
	out << "\nprogram " << printable(program.name) << (program.cyclic ? ", cyclic" : "")
	    << '\n';
	table.print(out);
}

void show(const Schedule &schedule, std::ostream &out)
{
	const ModelFacts &model = schedule.model;

	out << printable(schedule.name) << ": "
	    << (model.architecture.empty() ? "unknown architecture" : printable(model.architecture))
	    << ", " << model.layers << " layers";
	if (model.experts > 0)
		out << ", " << model.experts << " experts (" << model.experts_used << " used)";
	out << ", " << schedule.objects.size() << " objects in " << schedule.regions.size()
	    << (schedule.regions.size() == 1 ? " region\n" : " regions\n");
	for (const std::string &note : schedule.notes)
		out << "note: " << printable(note) << '\n';
	for (const Program &program : schedule.programs)
		show_program(schedule, program, out);
}

Result<void> write(const std::string &file, const std::string &text)
{
	std::ofstream stream(file, std::ios::binary | std::ios::trunc);

	stream << text;
	stream.flush();
	if (!stream)
		return fail(file + ": cannot be written");
	return {};
}

Result<void> run_derive(const Options &options, Env &env)
{
	const auto schedule = derive_file(options.file, {options.context, options.experts_used});

	if (!schedule)
		return std::unexpected(schedule.error());
	for (const std::string &note : schedule->notes)
		env.err << "itmectl: note: " << printable(note) << '\n';
	if (!options.output.empty())
		return write(options.output, schedule_text(*schedule));
	env.out << schedule_text(*schedule);
	return {};
}

Result<void> run_show(const Options &options, Env &env)
{
	const auto schedule = schedule_of(options.file, {});

	if (!schedule)
		return std::unexpected(schedule.error());
	if (options.json)
		env.out << schedule_text(*schedule);
	else
		show(*schedule, env.out);
	return {};
}

} // namespace

void add_schedule(CLI::App &app, Action &action)
{
	auto options = std::make_shared<Options>();
	auto *command = app.add_subcommand("schedule", "what will be read, and in which order");
	auto *derive = command->add_subcommand("derive",
					       "make a schedule from a GGUF or safetensors header");
	auto *show =
		command->add_subcommand("show", "the positions of a schedule, or of a model's");

	command->require_subcommand(1);
	derive->add_option("FILE", options->file,
			   "a model: GGUF (any split), .safetensors or its .index.json")
		->required();
	derive->add_option("-o,--output", options->output,
			   "write here, not to the standard output");
	derive->add_option("--context", options->context,
			   "add the KV of so many tokens, read by every pass");
	derive->add_option("--experts-used", options->experts_used,
			   "experts a token uses, instead of what the header says");
	derive->callback([options, &action] {
		action = [options](Env &env) { return run_derive(*options, env); };
	});
	show->add_option("FILE", options->file, "a schedule (*.itme.json) or a model")->required();
	show->add_flag("--json", options->json, "print JSON");
	show->callback([options, &action] {
		action = [options](Env &env) { return run_show(*options, env); };
	});
}

} // namespace itme
