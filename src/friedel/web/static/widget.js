// src/api.ts
function e(e) {
	let t = new DataView(e).getUint32(0, !0), n = JSON.parse(new TextDecoder().decode(new Uint8Array(e, 4, t)));
	return {
		data: n.dtype === "uint16" ? new Uint16Array(e, 4 + t) : new Uint8Array(e, 4 + t),
		shape: n.shape,
		offset: n.offset,
		scale: n.scale,
		black: n.black,
		white: n.white,
		facts: n
	};
}
// src/dom.ts
function t(e, t = {}, ...n) {
	let r = document.createElement(e), { aria: i, data: a, role: o, ...s } = t;
	Object.assign(r, s), o && r.setAttribute("role", o);
	for (let [e, t] of Object.entries(i ?? {})) r.setAttribute(`aria-${e}`, t);
	for (let [e, t] of Object.entries(a ?? {})) r.dataset[e] = t;
	return r.append(...n.filter((e) => e !== null && e !== !1)), r;
}
function n(e, n, r, i) {
	let a = t("select", { aria: { label: e } }, ...n.map(([e, n]) => t("option", { value: e }, n)));
	return a.value = r, a.onchange = () => i(a.value), a;
}
function r(e, n, r, i, a, o) {
	let s = t("input", {
		type: "range",
		min: String(n),
		max: String(r),
		step: String(i),
		title: e,
		aria: { label: e }
	});
	return s.value = String(a), s.oninput = () => o(Number(s.value)), s;
}
function i(e, t = document) {
	return e.replace(/(Pass )?(--[a-z][a-z-]*)/g, (e, n, r) => {
		let i = t.querySelector(`[aria-label="${r}"]`)?.closest("label")?.firstChild?.textContent;
		return i ? `${n ? "Fill in " : ""}“${i}”` : e;
	});
}
function a(e, n = "error", r = "") {
	let a = i(e);
	[].find((e) => e.firstChild?.textContent === a)?.remove();
	let o = t("div", {
		className: `notice ${n}`,
		data: { about: r }
	}, t("span", {}, a));
	o.append(t("button", {
		type: "button",
		onclick: () => o.remove(),
		aria: { label: "Dismiss" }
	}, "×")), n === "done" && setTimeout(() => o.remove(), 4e3);
}
var o = class {
	busy = !1;
	next = null;
	run(e) {
		this.next = e, this.busy || this.drain();
	}
	async drain() {
		for (this.busy = !0; this.next;) {
			let e = this.next;
			this.next = null;
			try {
				await e();
			} catch (e) {
				a(e instanceof Error ? e.message : String(e));
			}
		}
		this.busy = !1;
	}
};
function s(e, t = 3) {
	if (e == null || !Number.isFinite(e)) return "–";
	let n = Math.abs(e);
	return n !== 0 && (n < .001 || n >= 1e6) ? e.toExponential(2) : String(Number(e.toPrecision(t)));
}
// src/colour.ts
var c = {
	grey: ["#000000", "#ffffff"],
	inverse: ["#ffffff", "#000000"],
	viridis: [
		"#440154",
		"#482878",
		"#3e4989",
		"#31688e",
		"#26828e",
		"#1f9e89",
		"#35b779",
		"#6ece58",
		"#b5de2b",
		"#fde725"
	],
	magma: [
		"#000004",
		"#180f3d",
		"#440f76",
		"#721f81",
		"#9e2f7f",
		"#cd4071",
		"#f1605d",
		"#fd9668",
		"#feca8d",
		"#fcfdbf"
	]
}, l = [
	["grey", "grey"],
	["inverse", "inverse"],
	["viridis", "viridis"],
	["magma", "magma"]
];
function u(e) {
	let t = parseInt(e.slice(1), 16);
	return [
		t >> 16,
		t >> 8 & 255,
		t & 255
	];
}
var d = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, f = (e, t, n, r = 255) => (d ? r << 24 | n << 16 | t << 8 | e : e << 24 | t << 16 | n << 8 | r) >>> 0, p = /* @__PURE__ */ new Map();
function m(e) {
	let t = p.get(e);
	if (t) return t;
	let n = (c[e] ?? c.grey).map(u), r = /* @__PURE__ */ new Uint32Array(256);
	for (let e = 0; e < 256; e++) {
		let t = e / 255 * (n.length - 1), i = Math.min(Math.floor(t), n.length - 2), [a, o] = [n[i], n[i + 1]], [s, c, l] = a.map((e, n) => Math.round(e + (t - i) * (o[n] - e)));
		r[e] = f(s, c, l);
	}
	return p.set(e, r), r;
}
function h(e, t, n) {
	let [r, i] = e.shape;
	n.width = i, n.height = r;
	let a = n.getContext("2d"), o = a.createImageData(i, r), s = new Uint32Array(o.data.buffer), c = m(t.map), l = new Uint32Array(e.data instanceof Uint16Array ? 65536 : 256), u = t.white - t.black || 1;
	for (let n = 0; n < l.length; n++) {
		let r = Math.min(1, Math.max(0, (e.offset + e.scale * n - t.black) / u));
		l[n] = c[Math.round(255 * r ** t.gamma)];
	}
	for (let t = 0; t < s.length; t++) s[t] = l[e.data[t]];
	a.putImageData(o, 0, 0);
}
// src/overlay.ts
var g = 6;
function _(e, t, n) {
	let [r, i, a] = e.shape, o = i * a, s = Math.max(1, Math.min(g, Math.floor(2048 / Math.max(i, a))));
	n.width = a * s, n.height = i * s;
	let c = n.getContext("2d"), l = c.createImageData(n.width, n.height), d = new Uint32Array(l.data.buffer), p = t.colours.map(u), m = 255 * t.threshold;
	for (let c = 0; c < i; c++) for (let i = 0; i < a; i++) {
		let l = c * a + i;
		if (!e.data[(r - 1) * o + l]) continue;
		let u = [], h = [];
		for (let n = 0; n < r - 1; n++) {
			if (!t.phases[n]) continue;
			let r = e.data[n * o + l];
			r >= m ? u.push(n) : r >= .4 * m && h.push(n);
		}
		(u.length || h.length) && v(d, n.width, c * s, i * s, s, (n, r) => {
			let i = Math.floor((r + n) / (g / 2));
			if (u.length) {
				let n = u[i % u.length], r = (e.data[n * o + l] - m) / Math.max(1, 255 - m);
				return f(...p[n], Math.round(255 * t.opacity * (.35 + .65 * r)));
			}
			return i % 3 ? 0 : f(...p[h[0]], Math.round(255 * t.opacity * .8));
		});
	}
	c.putImageData(l, 0, 0);
}
function v(e, t, n, r, i, a) {
	for (let o = n; o < n + i; o++) for (let n = r; n < r + i; n++) e[o * t + n] = a(o, n);
}
// src/view.ts
var y = class {
	options;
	element;
	canvas = t("canvas", {
		tabIndex: 0,
		role: "application"
	});
	picture = t("canvas", { aria: { hidden: "true" } });
	tools = t("div", { className: "tools" });
	status = t("div", { className: "status" });
	scale = null;
	size = [1, 1];
	zoom = 1;
	look;
	layers = [];
	centre = [0, 0];
	frame = null;
	base = {
		canvas: t("canvas"),
		y: 0,
		x: 0,
		height: 1,
		width: 1,
		opacity: 1
	};
	detail = {
		canvas: t("canvas"),
		y: 0,
		x: 0,
		height: 0,
		width: 0,
		opacity: 1
	};
	bar = t("canvas", {
		width: 128,
		height: 10,
		className: "bar"
	});
	low = t("span", {});
	high = t("span", {});
	contrast = {
		black: 0,
		white: 1
	};
	drag = null;
	detailFrame = null;
	asked = "";
	gamma = r("Gamma", .2, 2, .05, 1, (e) => {
		this.look.gamma = e, this.restyle();
	});
	constructor(e) {
		this.options = e, this.look = {
			map: e.map ?? "grey",
			black: 0,
			white: 1,
			gamma: 1
		}, this.canvas.setAttribute("aria-label", e.label);
		let i = () => this.restyle(), a = t("div", { className: "foot" }, n("Colour map", l, this.look.map, (e) => {
			this.look.map = e, i();
		}), t("label", {}, "black", r("Black", 0, 1, .005, 0, (e) => {
			this.contrast.black = e, i();
		})), t("label", {}, "white", r("White", 0, 2, .01, 1, (e) => {
			this.contrast.white = e, i();
		})), t("label", {}, "gamma", this.gamma), t("span", { className: "legend" }, this.low, this.bar, this.high));
		this.element = t("section", {
			className: "view",
			aria: { label: e.label }
		}, this.tools, t("div", { className: "canvas" }, this.picture, this.canvas), this.status, a), new ResizeObserver(() => this.fit()).observe(this.canvas), this.listen();
	}
	show(e, t = e.shape) {
		let n = this.size[0] === t[0] && this.size[1] === t[1] && this.frame !== null;
		this.frame = e, this.detailFrame = null, this.detail.width = 0, this.size = t, Object.assign(this.base, {
			height: t[0],
			width: t[1]
		}), this.restyle(), n || this.fit();
	}
	sharpen(e, t, n, r, i) {
		this.detailFrame = e, Object.assign(this.detail, {
			y: t,
			x: n,
			height: r,
			width: i
		}), h(e, this.look, this.detail.canvas), this.redraw();
	}
	setGamma(e) {
		this.look.gamma = e, this.gamma.value = String(e), this.restyle();
	}
	clear() {
		this.drag = null, this.frame = null, this.detail.width = 0, this.layers = [], this.redraw();
	}
	restyle() {
		if (this.frame) {
			let e = this.frame.white - this.frame.black;
			this.look.black = this.frame.black + this.contrast.black * e, this.look.white = this.frame.black + this.contrast.white * e, h(this.frame, this.look, this.base.canvas), this.detailFrame && this.detail.width && h(this.detailFrame, this.look, this.detail.canvas), this.low.textContent = s(this.look.black), this.high.textContent = s(this.look.white);
			let t = this.bar.getContext("2d"), n = t.createImageData(128, 10), r = new Uint32Array(n.data.buffer), i = m(this.look.map);
			for (let e = 0; e < r.length; e++) r[e] = i[Math.round(255 * (e % 128 / 127) ** this.look.gamma)];
			t.putImageData(n, 0, 0);
		}
		this.redraw();
	}
	fit() {
		let { clientWidth: e, clientHeight: t } = this.canvas;
		e && t && (this.zoom = Math.min(e / this.size[1], t / this.size[0]), this.centre = [(this.size[0] - 1) / 2, (this.size[1] - 1) / 2], this.redraw(), this.options.moved?.());
	}
	place(e, t) {
		return [(e - this.centre[0]) * this.zoom + this.canvas.clientHeight / 2, (t - this.centre[1]) * this.zoom + this.canvas.clientWidth / 2];
	}
	position(e, t) {
		return [(e - this.canvas.clientHeight / 2) / this.zoom + this.centre[0], (t - this.canvas.clientWidth / 2) / this.zoom + this.centre[1]];
	}
	seen() {
		let [e, t] = this.position(0, 0), [n, r] = this.position(this.canvas.clientHeight, this.canvas.clientWidth);
		return [
			Math.max(0, Math.floor(e)),
			Math.max(0, Math.floor(t)),
			Math.min(this.size[0], Math.ceil(n)),
			Math.min(this.size[1], Math.ceil(r))
		];
	}
	redraw(e = "all") {
		this.asked || requestAnimationFrame(() => this.drawNow()), this.asked !== "all" && (this.asked = e);
	}
	drawNow() {
		let { canvas: e, asked: t } = this;
		if (this.asked = "", t === "all") {
			let e = this.emptied(this.picture);
			if (this.frame) for (let t of [
				this.base,
				this.detail,
				...this.layers
			]) this.drawLayer(e, t);
		}
		let n = this.emptied(e);
		this.frame && (this.options.draw?.(n, this), this.drawScale(n), e.dataset.drawn = String(Number(e.dataset.drawn ?? 0) + 1));
	}
	emptied(e) {
		let t = devicePixelRatio, [n, r] = [Math.round(e.clientWidth * t), Math.round(e.clientHeight * t)];
		(e.width !== n || e.height !== r) && Object.assign(e, {
			width: n,
			height: r
		});
		let i = e.getContext("2d");
		return i.setTransform(t, 0, 0, t, 0, 0), i.clearRect(0, 0, e.clientWidth, e.clientHeight), i;
	}
	drawLayer(e, t) {
		if (!t.width || !t.canvas.width) return;
		let [n, r] = this.place(t.y - .5, t.x - .5);
		e.globalAlpha = t.opacity, e.imageSmoothingEnabled = this.zoom * t.width / t.canvas.width < 1, e.imageSmoothingQuality = "medium", e.drawImage(t.canvas, r, n, t.width * this.zoom, t.height * this.zoom);
	}
	drawScale(e) {
		if (!this.scale) return;
		let { step: t, unit: n } = this.scale, r = .3 * this.canvas.clientWidth * t / this.zoom, i = 10 ** Math.floor(Math.log10(r)), a = i * ([
			5,
			2,
			1
		].find((e) => e * i <= r) ?? 1), o = a / t * this.zoom, s = b(), [c, l] = [s, this.canvas.clientHeight - 1.2 * s], [u, d] = n === "Å" && a >= 10 ? [a / 10, "nm"] : [a, n], f = `${Number(u.toPrecision(3))} ${d}`;
		e.font = `600 ${.9 * s}px system-ui, sans-serif`, e.fillStyle = "rgba(0, 0, 0, 0.6)", e.fillRect(c - .4 * s, l - 1.4 * s, Math.max(o, e.measureText(f).width) + .8 * s, 2.1 * s), e.fillStyle = "#fff", e.fillRect(c, l, o, .3 * s), e.fillText(f, c, l - .4 * s);
	}
	at(e) {
		let t = this.canvas.getBoundingClientRect();
		return this.position(e.clientY - t.top, e.clientX - t.left);
	}
	listen() {
		let { canvas: e } = this;
		e.onpointerdown = (t) => {
			if (!this.frame) return;
			e.focus({ preventScroll: !0 }), e.setPointerCapture(t.pointerId);
			let [n, r] = this.at(t);
			this.drag = (t.button === 0 ? this.options.press({
				y: n,
				x: r,
				event: t
			}) : null) ?? this.pan(t), t.preventDefault();
		}, e.onpointermove = (e) => {
			let [t, n] = this.at(e);
			this.drag ? this.drag.move({
				y: t,
				x: n,
				event: e
			}) : this.options.hover?.({
				y: t,
				x: n,
				event: e
			});
		};
		let t = (e) => {
			let [t, n] = this.at(e);
			this.drag?.end?.({
				y: t,
				x: n,
				event: e
			}), this.drag = null;
		};
		e.onpointerup = t, e.onpointercancel = t, e.onpointerleave = () => this.options.hover?.(null), e.oncontextmenu = (e) => e.preventDefault(), e.onwheel = (e) => {
			e.preventDefault(), this.magnify(Math.exp(-e.deltaY * .0015), this.at(e));
		}, e.ondblclick = () => this.fit(), e.onkeydown = (e) => {
			let t = this.options.key?.(e) ?? !1;
			if (!t && (e.key === "+" || e.key === "=")) this.magnify(1.25, this.centre);
			else if (!t && e.key === "-") this.magnify(.8, this.centre);
			else if (!t && e.key === "0") this.fit();
			else if (!t) return;
			e.preventDefault();
		};
	}
	magnify(e, [t, n]) {
		let r = Math.min(this.canvas.clientWidth / this.size[1], this.canvas.clientHeight / this.size[0]), i = Math.min(64, Math.max(r, this.zoom * e)), a = this.zoom / i;
		this.centre = i === r ? [(this.size[0] - 1) / 2, (this.size[1] - 1) / 2] : [t + (this.centre[0] - t) * a, n + (this.centre[1] - n) * a], this.zoom = i, this.redraw(), this.options.moved?.();
	}
	pan(e) {
		let [t, { clientX: n, clientY: r }] = [[...this.centre], e];
		return { move: ({ event: e }) => {
			this.centre = [t[0] - (e.clientY - r) / this.zoom, t[1] - (e.clientX - n) / this.zoom], this.redraw(), this.options.moved?.();
		} };
	}
}, b = () => parseFloat(getComputedStyle(document.documentElement).fontSize);
function x(e, t, n, r) {
	e.lineWidth = n + 2, e.strokeStyle = "rgba(0, 0, 0, 0.7)", e.beginPath(), r(), e.stroke(), e.lineWidth = n, e.strokeStyle = t, e.stroke();
}
// src/widget.css?inline
var S = ".friedel-viewer{grid-template-columns:1fr 1fr;gap:4px;height:460px;font:13px/1.4 system-ui,sans-serif;display:grid}.friedel-viewer .view{grid-template-rows:auto minmax(0,1fr) auto auto;min-width:0;min-height:0;display:grid}.friedel-viewer .canvas{background:#20242b;min-height:0;position:relative}.friedel-viewer .canvas canvas{touch-action:none;cursor:crosshair;width:100%;height:100%;position:absolute;inset:0}.friedel-viewer .status{min-height:1.6em}.friedel-viewer .foot,.friedel-viewer .foot label,.friedel-viewer .legend{flex-wrap:wrap;align-items:center;gap:6px;display:flex}.friedel-viewer .foot input{width:60px}.friedel-viewer .bar{width:80px;height:8px}", C = (e, t, n) => Math.min(n, Math.max(t, e)), w = {
	ArrowUp: [-1, 0],
	ArrowDown: [1, 0],
	ArrowLeft: [0, -1],
	ArrowRight: [0, 1]
};
function T({ model: e, el: t }) {
	let n = e.get("facts"), r = n.kind === "scan", i = (t) => e.get(t), a = E(e), [s, c] = [new o(), new o()], l = null, u = () => l?.facts.centre_px ?? [0, 0], d = (t, n) => {
		e.set(t, n), e.save_changes();
	}, f = new y({
		label: r ? "Image of the scan. Drag or use the arrow keys: the pattern follows." : "Micrograph. Drag or use the arrow keys: the FFT follows.",
		press: (e) => {
			let t = ({ y: e, x: t }) => d("probe", [C(Math.round(e), 0, n.shape[0] - 1), C(Math.round(t), 0, n.shape[1] - 1)]);
			return t(e), { move: t };
		},
		key: (e) => {
			let t = w[e.key];
			if (!t) return !1;
			let a = (r ? 1 : 8) * (e.shiftKey ? 10 : 1), [o, s] = i("probe");
			return d("probe", [C(o + a * t[0], 0, n.shape[0] - 1), C(s + a * t[1], 0, n.shape[1] - 1)]), !0;
		},
		draw: (t, n) => {
			let a = r ? Math.max(1, b() / n.zoom) : e.get("side_px"), [o, s] = r ? i("probe") : l?.facts.middle ?? i("probe"), [c, u] = n.place(o - a / 2, s - a / 2);
			x(t, "#ffffff", 2, () => t.rect(u, c, a * n.zoom, a * n.zoom));
		}
	}), p = new y({
		label: "Pattern or FFT. Drag the ring of a scan's pattern to change the image.",
		map: "magma",
		press: (e) => {
			if (!r) return null;
			let t = ({ y: e, x: t }) => Math.hypot(e - u()[0], t - u()[1]), a = i("ring_px").map((n) => Math.abs(t(e) - n) * p.zoom), o = a[0] <= a[1] ? 0 : 1;
			return a[o] > 9 ? null : { move: (e) => {
				let [r, a] = i("ring_px");
				d("ring_px", o ? [r, C(t(e), r + .5, n.reach_px)] : [C(t(e), 0, a - .5), a]);
			} };
		},
		draw: (e, t) => {
			if (!r) return;
			let [n, a] = t.place(...u());
			for (let r of i("ring_px")) x(e, "rgba(215, 222, 235, 0.85)", 1.25, () => e.arc(a, n, r * t.zoom, 0, 2 * Math.PI));
		}
	});
	p.setGamma(r ? .5 : 1), f.scale = n.step_a === null ? null : {
		step: n.step_a,
		unit: "Å"
	};
	let m = () => s.run(async () => {
		let e = await a("image");
		f.show(e, n.shape), (e.facts.rows_done ?? n.shape[0]) < n.shape[0] && setTimeout(m, 200);
	}), h = () => c.run(async () => {
		l = await a("pattern"), p.scale = n.step_inv_a === null ? null : {
			step: l.facts.step_inv_a?.[1] ?? n.step_inv_a,
			unit: "1/Å"
		}, p.show(l), p.canvas.dataset.probe = i("probe").join();
		let [e, t] = i("probe");
		p.status.textContent = `${r ? "Pattern" : "FFT"} at (${e}, ${t})`, f.redraw("marks");
	}), g = async () => {
		if (!n.colours.length) return;
		let e = await a("map"), t = document.createElement("canvas");
		_(e, {
			colours: n.colours,
			threshold: n.min_probability,
			opacity: .75,
			phases: n.colours.map(() => !0)
		}, t), f.layers = [{
			canvas: t,
			y: 0,
			x: 0,
			height: n.shape[0],
			width: n.shape[1],
			opacity: 1
		}], f.redraw();
	}, v = document.createElement("style");
	v.textContent = S, t.classList.add("friedel-viewer"), t.append(v, f.element, p.element);
	let T = () => {
		m(), p.redraw("marks");
	};
	return e.on("change:probe", h), e.on("change:ring_px", T), m(), h(), g(), () => {
		e.off("change:probe", h), e.off("change:ring_px", T);
	};
}
function E(t) {
	let n = 0, r = /* @__PURE__ */ new Map();
	return t.on("msg:custom", ((t, n) => {
		let i = r.get(t.id);
		if (r.delete(t.id), t.error) {
			i?.refuse(Error(t.error));
			return;
		}
		let a = n[0];
		i?.take(e(a.buffer.slice(a.byteOffset, a.byteOffset + a.byteLength)));
	})), (e) => new Promise((i, a) => {
		r.set(++n, {
			take: i,
			refuse: a
		}), t.send({
			id: n,
			what: e
		});
	});
}
var D = { render: T };
export { D as default };
