'use strict';
// Draws the charts of a report: each <canvas data-chart data-report> from the figures of its report.

// Okabe and Ito's palette, which people with any colour vision can tell apart.
const colour = {
  black: '#1d2733', blue: '#0072b2', sky: '#56b4e9', green: '#009e73', orange: '#e69f00',
  red: '#d55e00', pink: '#cc79a7', grey: '#b7bfc8',
};
const byPoint = [colour.blue, colour.orange, colour.green, colour.pink, colour.sky, colour.red, colour.black];
const parts = [
  ['prefill_s', 'prefill', colour.sky], ['decode_s', 'decode', colour.blue],
  ['sampling_s', 'sampling', colour.green], ['communication_s', 'communication', colour.orange],
  ['bubble_s', 'bubble', colour.grey], ['output_s', 'output', colour.pink],
  ['unattributed_s', 'unattributed', colour.red],
];

const axis = (text, more = {}) => ({ beginAtZero: true, title: { display: true, text }, grid: { color: '#eef1f4' }, ...more });
const scatter = (label, data, tint, more = {}) =>
  ({ label, data, borderColor: tint, backgroundColor: tint, borderWidth: 2, pointRadius: 4, ...more });
const dashed = { borderDash: [6, 4], pointRadius: 0, borderWidth: 1.5 };
const nodesText = (nodes) => `${nodes} node${nodes === 1 ? '' : 's'}`;
const settings = (row) => (row.settings === '' ? '' : `, ${row.settings}`);
const scaling = (report) => report.points.filter((p) => p.role === '');

function speedup(report) {
  const points = scaling(report);
  const first = points[0].ranks, ranks = points.map((p) => p.ranks);
  const line = (value) => points.map((p) => ({ x: p.ranks, y: value(p) })).filter((p) => p.y !== null);
  const datasets = [
    scatter('measured', line((p) => p.speedup), colour.blue),
    scatter('ideal', ranks.map((x) => ({ x, y: x / first })), colour.grey, dashed),
  ];
  if (points.some((p) => p.bound_efficiency !== null)) {
    datasets.push(scatter('bound by the prompts\' lengths',
      line((p) => (p.bound_efficiency === null ? null : p.bound_efficiency * p.ranks)), colour.red, dashed));
  }
  const s = report.serial_share, most = Math.max(...ranks) / first;
  if (s !== null && points.length > 2) {
    const fit = report.kind === 'weak' ? (n) => n - s * (n - 1) : (n) => 1 / (s + (1 - s) / n);
    const curve = Array.from({ length: 33 }, (_, i) => 1 + (most - 1) * i / 32);
    datasets.push(scatter(report.kind === 'weak' ? 'Gustafson fit' : 'Amdahl fit',
      curve.map((n) => ({ x: n * first, y: fit(n) })), colour.green, { ...dashed, borderDash: [2, 3] }));
  }
  return { type: 'line', data: { datasets }, options: { scales: {
    x: axis('ranks', { type: 'linear', beginAtZero: false, ticks: { precision: 0 } }), y: axis('speedup') } } };
}

function efficiency(report) {
  const points = scaling(report);
  const bar = (label, key, tint) => ({ label, data: points.map((p) => p[key]), backgroundColor: tint });
  const datasets = [bar('parallel efficiency', 'parallel_efficiency', colour.blue)];
  for (const [key, label, tint] of [['of_independent_ranks', 'of ranks that share nothing', colour.green],
    ['of_best_single', 'against the best run of one rank', colour.orange]]) {
    if (points.some((p) => p[key] !== null)) datasets.push(bar(label, key, tint));
  }
  return { type: 'bar', data: { labels: points.map((p) => nodesText(p.nodes)), datasets },
    options: { scales: { x: { grid: { display: false } }, y: axis('efficiency', { suggestedMax: 1 }) } } };
}

// For each number of nodes, bars of the throughput and a line of the batch efficiency.
function batch(report) {
  const points = scaling(report);
  const sizes = [...new Set(points.map((p) => p.batch_size))].sort((a, b) => a - b);
  const datasets = [...new Set(points.map((p) => p.nodes))].flatMap((nodes, i) => {
    const at = (key) => sizes.map((size) => points.find((p) => p.nodes === nodes && p.batch_size === size)?.[key] ?? null);
    const tint = byPoint[i % byPoint.length];
    return [
      { type: 'line', label: `batch efficiency, ${nodesText(nodes)}`, data: at('batch_efficiency'), borderColor: tint,
        backgroundColor: '#fff', borderWidth: 2, pointRadius: 4, yAxisID: 'share', order: -1 },
      { type: 'bar', label: `tokens/s, ${nodesText(nodes)}`, data: at('output_tokens_per_s'), backgroundColor: tint, yAxisID: 'y' }];
  });
  return { data: { labels: sizes.map((size) => `batch size ${size}`), datasets },
    options: { scales: { x: { grid: { display: false } }, y: axis('tokens/s'),
      share: axis('batch efficiency', { position: 'right', suggestedMax: 1, grid: { display: false } }) } } };
}

function throughput(report) {
  return { type: 'bar', data: { labels: report.points.map((p) => `${nodesText(p.nodes)}, ${p.layout}, batch ${p.batch_size}${settings(p)}`),
    datasets: [{ label: 'tokens/s', data: report.points.map((p) => p.output_tokens_per_s), backgroundColor: colour.blue }] },
    options: { indexAxis: 'y', scales: { x: axis('tokens/s'), y: { grid: { display: false } } } } };
}

function stages(report) {
  const label = (s) => `${s.layout}, batch ${s.batch_size}${settings(s)}: rank ${s.rank}`;
  return { type: 'bar', data: { labels: report.stages.map(label), datasets: parts.map(([key, name, tint]) =>
    ({ label: name, data: report.stages.map((s) => s[key]), backgroundColor: tint })) },
    options: { indexAxis: 'y', scales: { x: axis('seconds', { stacked: true }), y: { stacked: true, grid: { display: false } } } } };
}

function latency(report) {
  const datasets = report.latencies.filter((l) => l.latencies_s.length > 0).map((l, i) => scatter(l.label,
    l.latencies_s.map((x, k, all) => ({ x, y: (k + 1) / all.length })), byPoint[i % byPoint.length],
    { pointRadius: l.latencies_s.length > 20 ? 0 : 3, stepped: 'after' }));
  return { type: 'line', data: { datasets }, options: { scales: {
    x: axis('latency of a prompt, from admission (s)', { type: 'linear' }), y: axis('share of prompts', { max: 1 }) } } };
}

// Boxes side by side: what each rank was at.
function timeline(report) {
  const kinds = [['compute', colour.blue], ['communication', colour.orange], ['bubble', colour.grey],
    ['sampling', colour.green], ['output', colour.pink], ['unattributed', colour.red]];
  const ranks = report.timeline.ranks;
  const datasets = kinds.map(([kind, tint]) => ({ label: kind, backgroundColor: tint, grouped: false, barPercentage: 0.85,
    data: ranks.flatMap((r) => r.spans.filter((s) => s[0] === kind).map((s) => ({ y: r.label, x: [s[1], s[2]] }))) }));
  return { type: 'bar', data: { labels: ranks.map((r) => r.label), datasets: datasets.filter((d) => d.data.length > 0) },
    options: { indexAxis: 'y', scales: { x: axis(`milliseconds; clocks agree to ${(report.timeline.clock_error_s * 1e6).toFixed(0)} microseconds`),
      y: { grid: { display: false } } } } };
}

const charts = { speedup, efficiency, batch, throughput, stages, latency, timeline };
const reports = JSON.parse(document.getElementById('reports').textContent);
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.color = colour.black;
Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.plugins.legend.position = 'bottom';
Chart.defaults.plugins.legend.labels.boxWidth = 14;
for (const canvas of document.querySelectorAll('canvas[data-chart]')) {
  new Chart(canvas, charts[canvas.dataset.chart](reports[Number(canvas.dataset.report)]));
}
