"""Language codes: CLD2's two letters to the three (ISO 639-3) of Common Crawl's language header.

Both name a language in the statistics, so they have to agree: `en` from the detector is counted as `eng`. A code that is
not listed stays as it is. Macro-languages are named as Common Crawl names them (`msa`, `zho`, `nor`).
"""

from __future__ import annotations

from typing import Final

ISO_639_3: Final = dict(
    pair.split("=")
    for pair in ["aa=aar", "ab=abk", "af=afr", "ak=aka", "am=amh", "ar=ara", "as=asm", "ay=aym", "az=aze", "ba=bak", "be=bel", "bg=bul", "bh=bih", "bi=bis", "bn=ben", "bo=bod", "br=bre", "bs=bos", "ca=cat", "co=cos", "cs=ces", "cy=cym", "da=dan", "de=deu", "dv=div", "dz=dzo", "el=ell", "en=eng", "eo=epo", "es=spa", "et=est", "eu=eus", "fa=fas", "fi=fin", "fj=fij", "fo=fao", "fr=fra", "fy=fry", "ga=gle", "gd=gla", "gl=glg", "gn=grn", "gu=guj", "gv=glv", "ha=hau", "haw=haw", "he=heb", "hi=hin", "hr=hrv", "ht=hat", "hu=hun", "hy=hye", "ia=ina", "id=ind", "ie=ile", "ig=ibo", "ik=ipk", "is=isl", "it=ita", "iu=iku", "iw=heb", "ja=jpn", "jv=jav", "jw=jav", "ka=kat", "kk=kaz", "kl=kal", "km=khm", "kn=kan", "ko=kor", "ks=kas", "ku=kur", "ky=kir", "la=lat", "lb=ltz", "lg=lug", "ln=lin", "lo=lao", "lt=lit", "lv=lav", "mg=mlg", "mi=mri", "mk=mkd", "ml=mal", "mn=mon", "mr=mar", "ms=msa", "mt=mlt", "my=mya", "na=nau", "nb=nob", "ne=nep", "nl=nld", "nn=nno", "no=nor", "nr=nbl", "ny=nya", "oc=oci", "om=orm", "or=ori", "pa=pan", "pl=pol", "ps=pus", "pt=por", "qu=que", "rm=roh", "rn=run", "ro=ron", "ru=rus", "rw=kin", "sa=san", "sd=snd", "sg=sag", "si=sin", "sk=slk", "sl=slv", "sm=smo", "sn=sna", "so=som", "sq=sqi", "sr=srp", "ss=ssw", "st=sot", "su=sun", "sv=swe", "sw=swa", "ta=tam", "te=tel", "tg=tgk", "th=tha", "ti=tir", "tk=tuk", "tl=tgl", "tn=tsn", "to=ton", "tr=tur", "ts=tso", "tt=tat", "tw=twi", "ug=uig", "uk=ukr", "ur=urd", "uz=uzb", "ve=ven", "vi=vie", "vo=vol", "wo=wol", "xh=xho", "yi=yid", "yo=yor", "za=zha", "zh=zho", "zh-Hant=zho", "zu=zul"]
)


def three_letters(code: str) -> str:
    """The ISO 639-3 code for a two-letter one; any other code as it is."""
    return ISO_639_3.get(code, code)
