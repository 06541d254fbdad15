"""Figures as SVG that follows light and dark pages."""

import base64
import xml.etree.ElementTree as ET

from matplotlib.figure import Figure

from mmdavpt.visualization.figures import to_svg


def test_text_stays_text_and_black_follows_the_page(recwarn):
    figure = Figure()
    ax = figure.subplots()
    ax.set_title('<script>犬')
    ax.plot([1, 2], color='#0072b2')
    kind, content = to_svg(figure).split(';base64,')
    svg = base64.b64decode(content).decode()
    assert kind == 'data:image/svg+xml'
    texts = ET.fromstring(svg).iter('{http://www.w3.org/2000/svg}text')
    assert '<script>犬' in [''.join(node.itertext()) for node in texts]
    assert '#000000' not in svg and 'stroke: currentColor' in svg
    assert '#0072b2' in svg and 'prefers-color-scheme:dark' in svg
    assert not [w for w in recwarn if 'Glyph' in str(w.message)]
